"""What an augmentation did, and why: statistics, measurements, reports."""
