//! emfluence Marketing Platform, API v1: JSON over POST.
