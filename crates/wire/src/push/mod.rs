//! Platform push services: APNs and FCM requests and answers as pure functions.
