"""The HTTP server for trained models; images of concurrent requests are scored in one batch."""
