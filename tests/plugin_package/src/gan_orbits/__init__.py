"""Components for ganforge: points on circles, and least squares."""
