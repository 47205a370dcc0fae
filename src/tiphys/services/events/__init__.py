"""Events: kept until their bindings were carried out, and news of runs for those who subscribed to them."""
