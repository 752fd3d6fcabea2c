"""What belongs to images: masks, boxes and key points, in torchvision's tv_tensors, which follow the images they belong to."""
