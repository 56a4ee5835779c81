//! Azure Resource Manager: resource ids, lenient bodies, connection strings.
