"""Cases on the machines of a Ray cluster: what driver and workers say to each other, and who does what."""
