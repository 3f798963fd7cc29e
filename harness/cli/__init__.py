"""What the commands do; the modules beside this package only start them."""
