"""The screens: Flet over one node, entered by `node.api` alone."""
