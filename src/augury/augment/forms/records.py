"""Records of a chain's last step, one list of numbers per image: boxes painted on values, and reads from other images.

Every slot is a row of int64 numbers and a row of float64 numbers (which hold every float32 exactly); GRID takes six columns, BOX
four.
"""

FORM, CONTENT, PATTERN, PARTNER, GRID, BOX, WHOLES = 0, 1, 2, 3, 4, 10, 14
PAINT, KEEP, REALS = 0, 1, 2
# What is written.
UINT8, FLOAT32, BFLOAT16, FLOAT16 = 0, 1, 2, 3
