"""One file a method: what its clients and its server do in a round."""
