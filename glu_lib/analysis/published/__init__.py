"""Tables of the published study; README.md in this folder gives their source and attribution."""
