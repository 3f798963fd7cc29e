"""Device profiles, host detection, meters and the collector that reads them."""
