"""Argo's REST API: translation of requests and answers; what they mean is the services' business."""
