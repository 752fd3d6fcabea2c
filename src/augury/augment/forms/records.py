"""Records: one list of numbers per image, by which a compiled kernel takes it through a whole chain while it lies in the cache.

Every slot of every stage is a row of whole numbers (int64) and one of others (float64, which holds every float32 exactly).
Which columns of a row count depends on its form.
"""

# Columns of the whole numbers: GRID takes six of them, BOX four.
FORM, BILINEAR, RECIPE, DEGENERATE, CONTENT, PATTERN, GRID, BOX, PARTNER, RESAMPLING, WHOLES = 0, 1, 2, 3, 4, 5, 6, 12, 16, 17, 18
# Columns of the others: MATRIX takes six, WINDOW four (rows' start and end, columns' start and end).
MATRIX, EDGE, VALUE, FACTOR, PAINT, KEEP, WINDOW, REALS = 0, 6, 7, 8, 9, 10, 11, 15

# What comes out, and which half of the work a call does.
UINT8, FLOAT32, BFLOAT16, FLOAT16 = 0, 1, 2, 3
BOTH, PIXELS, FINISH = 0, 1, 2
