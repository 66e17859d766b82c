"""What is said of any problem: learning rates, what is kept, options that are known."""
