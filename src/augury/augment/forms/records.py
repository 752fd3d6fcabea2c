"""Records: one list of numbers per image for what is done when it is finished: boxes on values, and what other images bring.

Every slot is a row of whole numbers (int64) and one of others (float64, which holds every float32 exactly); GRID takes six columns,
BOX four.
"""

FORM, CONTENT, PATTERN, PARTNER, GRID, BOX, WHOLES = 0, 1, 2, 3, 4, 10, 14
PAINT, KEEP, REALS = 0, 1, 2
# What is written.
UINT8, FLOAT32, BFLOAT16, FLOAT16 = 0, 1, 2, 3
