"""What analyses share: the base class, the bench on which they train and measure, the answer."""
