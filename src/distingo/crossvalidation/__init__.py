"""Cross-validation: every picture judged once by a model that was neither trained nor chosen on it."""
