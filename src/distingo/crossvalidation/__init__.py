"""Cross-validation: every image evaluated once by a model that was neither trained nor chosen on it."""
