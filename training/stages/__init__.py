"""The stages of training, one file each, and the data steps between them."""
