"""Live page: heart rate from the camera of a browser, processed on this computer only."""
