"""Networks trained by other programs, converted into generators and starting points for ganforge."""
