"""One machine, one command: the private database and broker, and the loop that keeps all processes running."""
