"""Where the pixels of images went: for masks, boxes and key points, which go the same way."""
