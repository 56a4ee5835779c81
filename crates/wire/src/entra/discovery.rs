//! What clients fetch before they sign in: the cloud's metadata and the authority's discovery document
//! (OpenID Connect Discovery 1.0).

use serde_json::{Value, json};

/// The audience that `az` and the Python management SDK ask for.
pub const MANAGEMENT: &str = "https://management.azure.com/";

/// The metadata of the cloud `base_url`; api-versions before 2022 want a list of it.
pub fn cloud_metadata(base_url: &str, tenant: &str) -> Value {
    json!({
        "name": "Carillon",
        "portal": format!("{base_url}/portal"),
        "authentication": {
            "loginEndpoint": format!("{base_url}/adfs"),
            "audiences": [MANAGEMENT],
            "tenant": tenant,
            "identityProvider": "ADFS",
        },
        "resourceManager": base_url,
        "graph": format!("{base_url}/graph"),
        "graphAudience": format!("{base_url}/graph"),
        "microsoftGraphResourceId": format!("{base_url}/graph/"),
        "suffixes": { "storage": "core.local" },
    })
}

/// The discovery document of the ADFS-shaped authority.
pub fn adfs(base_url: &str) -> Value {
    json!({
        "issuer": format!("{base_url}/adfs"),
        "authorization_endpoint": format!("{base_url}/adfs/oauth2/authorize/"),
        "token_endpoint": format!("{base_url}/adfs/oauth2/token/"),
        "device_authorization_endpoint": format!("{base_url}/adfs/oauth2/devicecode"),
        "jwks_uri": format!("{base_url}/adfs/discovery/keys"),
        "end_session_endpoint": format!("{base_url}/adfs/oauth2/logout"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

/// The discovery document at the issuer that access tokens name: that of the tenant's first version.
pub fn issuer(base_url: &str, named: &str, tenant_id: &str) -> Value {
    let mut document = tenant(base_url, named, tenant_id);
    document["issuer"] = format!("{base_url}/{tenant_id}/").into();
    document
}

/// The discovery document of the tenant-shaped authority. `named` is the tenant as the client wrote it, `tenant`
/// its id.
pub fn tenant(base_url: &str, named: &str, tenant: &str) -> Value {
    let at = format!("{base_url}/{named}");
    json!({
        "issuer": format!("{base_url}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{at}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{at}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{at}/oauth2/v2.0/devicecode"),
        "jwks_uri": format!("{at}/discovery/v2.0/keys"),
        "end_session_endpoint": format!("{at}/oauth2/v2.0/logout"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_modes_supported": ["form_post"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "offline_access"],
        "tenant_region_scope": Value::Null,
    })
}
