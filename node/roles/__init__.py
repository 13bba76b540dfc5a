"""What a node is: a server or a station. Both are a `Node` to those who use them."""
