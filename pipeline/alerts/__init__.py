"""What warn knows: baselines, detectors, rules, incidents, routes. Empty until its own work."""
