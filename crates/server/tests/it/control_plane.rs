//! Azure Resource Manager: subscriptions, groups, providers, generic lists, and `Microsoft.Communication`.

use serde_json::{Value, json};

use crate::support::{Answer, CLIENT_ID, TestApp};

const SUB: &str = "/subscriptions/00000000-0000-0000-0000-000000000000";
const CORE: &str = "api-version=2024-11-01";
const V: &str = "api-version=2025-09-01";

fn comm(name: &str) -> String {
    format!(
        "{SUB}/resourceGroups/default/providers/Microsoft.Communication/communicationServices/{name}"
    )
}

fn new_comm() -> String {
    json!({ "location": "Global", "properties": { "dataLocation": "United States" } }).to_string()
}

/// A server with the group `default`.
async fn app() -> TestApp {
    let app = TestApp::start().await;
    let path = format!("{SUB}/resourcegroups/default?{CORE}");
    let put = app
        .arm(
            "PUT",
            &path,
            r#"{"location":"westeurope","tags":{"a":"b"}}"#,
        )
        .await;
    assert_eq!(put.status, 201, "{}", put.body);
    app
}

fn error(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["error"];
    let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.headers["x-ms-error-code"], text("code").as_str());
    (answer.status, text("code"), text("message"))
}

#[tokio::test]
async fn subscriptions_and_tenants_are_what_clients_sign_in_to() {
    let app = TestApp::start().await;
    let list = app
        .arm("GET", "/subscriptions?api-version=2022-12-01", "")
        .await
        .json();
    assert_eq!(list["value"][0]["id"], SUB);
    assert_eq!(list["value"][0]["state"], "Enabled");
    assert_eq!(list["count"]["value"], 1);
    let one = app
        .arm("GET", &format!("{SUB}?api-version=2014-04-01"), "")
        .await;
    assert_eq!(one.json(), list["value"][0]);
    let tenants = app
        .arm("GET", "/tenants?api-version=2014-01-01", "")
        .await
        .json();
    assert_eq!(
        tenants["value"][0]["tenantId"],
        "11111111-1111-1111-1111-111111111111"
    );
}

#[tokio::test]
async fn every_answer_carries_the_ids_of_arm_and_no_hsts() {
    let app = TestApp::start().await;
    let token = format!("Bearer {}", app.token().await);
    let headers = [
        ("authorization", token.as_str()),
        ("x-ms-correlation-request-id", "corr"),
        ("x-ms-client-request-id", "mine"),
        ("x-ms-return-client-request-id", "true"),
    ];
    let answer = app
        .send("GET", &format!("/subscriptions?{CORE}"), &headers, "")
        .await;
    assert_eq!(answer.headers["x-ms-correlation-request-id"], "corr");
    assert_eq!(answer.headers["x-ms-client-request-id"], "mine");
    let id = answer.headers["x-ms-request-id"].to_str().unwrap();
    assert_eq!(
        answer.headers["x-ms-routing-request-id"],
        format!("LOCAL:20261124T041816Z:{id}")
    );
    assert_eq!(answer.headers["cache-control"], "no-cache");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(!answer.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn what_is_asked_wrong_is_refused_in_order_with_arms_texts() {
    let app = app().await;
    let get = async |path: &str| error(&app.arm("GET", path, "").await);
    let missing = "The api-version query parameter (?api-version=) is required for all requests.";
    for path in ["/subscriptions", &format!("{SUB}x"), &comm("none")] {
        let expected = (
            400,
            "MissingApiVersionParameter".to_owned(),
            missing.to_owned(),
        );
        assert_eq!(get(path).await, expected, "{path}");
    }
    let (status, code, message) = get("/subscriptions?api-version=1999-01-01").await;
    assert_eq!((status, code.as_str()), (400, "InvalidApiVersionParameter"));
    assert!(
        message
            .starts_with("The api-version '1999-01-01' is invalid. The supported versions are '20"),
        "{message}"
    );
    let (status, code, message) = get(&format!("{}?api-version=1999-01-01", comm("none"))).await;
    assert_eq!((status, code.as_str()), (400, "NoRegisteredProviderFound"));
    assert!(message.starts_with("No registered resource provider found for location 'global' and API version '1999-01-01' for type 'communicationServices'. The supported api-versions are '2026-03-18, "), "{message}");
    assert!(
        message.ends_with("The supported locations are 'global'."),
        "{message}"
    );
    assert_eq!(
        get(&format!("/subscriptions/nonsense?{CORE}")).await,
        (
            400,
            "InvalidSubscriptionId".into(),
            "The provided subscription identifier 'nonsense' is malformed or invalid.".into()
        )
    );
    let other = "99999999-0000-0000-0000-000000000000";
    assert_eq!(
        get(&format!(
            "/subscriptions/{other}/resourceGroups/none?{CORE}"
        ))
        .await,
        (
            404,
            "SubscriptionNotFound".into(),
            format!("The subscription '{other}' could not be found.")
        )
    );
    assert_eq!(
        get(&format!(
            "{}?{V}",
            comm("none").replace("/default/", "/gone/")
        ))
        .await,
        (
            404,
            "ResourceGroupNotFound".into(),
            "Resource group 'gone' could not be found.".into()
        )
    );
    assert_eq!(
        get(&format!("{}?{V}", comm("none"))).await,
        (404, "ResourceNotFound".into(), "The Resource 'Microsoft.Communication/communicationServices/none' under resource group 'default' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix".into())
    );
    assert_eq!(
        get(&format!("{SUB}/providers/Microsoft.Nothing?{CORE}"))
            .await
            .1,
        "InvalidResourceNamespace"
    );
    assert_eq!(
        get(&format!(
            "{SUB}/resourceGroups/default/providers/Microsoft.Nothing/a/b?{CORE}"
        ))
        .await
        .1,
        "InvalidResourceNamespace"
    );
    assert_eq!(
        get(&format!(
            "{SUB}/resourceGroups/default/providers/Microsoft.Communication/others/b?{V}"
        ))
        .await
        .1,
        "InvalidResourceType"
    );
}

#[tokio::test]
async fn groups_are_made_listed_changed_and_deleted_with_what_is_inside() {
    let app = app().await;
    let path = format!("{SUB}/resourcegroups/Default?{CORE}");
    let group = app.arm("GET", &path, "").await.json();
    assert_eq!(group["id"], format!("{SUB}/resourceGroups/default"));
    assert_eq!(group["type"], "Microsoft.Resources/resourceGroups");
    assert_eq!(group["location"], "westeurope");
    assert_eq!(group["properties"]["provisioningState"], "Succeeded");
    assert_eq!(
        app.arm("PUT", &path, r#"{"location":"westeurope"}"#)
            .await
            .status,
        200
    );
    assert_eq!(app.arm("GET", &path, "").await.json().get("tags"), None);
    let patched = app.arm("PATCH", &path, r#"{"tags":{"c":"d"}}"#).await;
    assert_eq!(patched.json()["tags"], json!({ "c": "d" }));
    assert_eq!(app.arm("HEAD", &path, "").await.status, 204);
    let none = format!("{SUB}/resourcegroups/none?{CORE}");
    assert_eq!(app.arm("HEAD", &none, "").await.status, 404);
    assert_eq!(
        error(&app.arm("PUT", &none, "{}").await).1,
        "LocationRequired"
    );
    let bad = format!("{SUB}/resourcegroups/none.?{CORE}");
    assert_eq!(
        error(&app.arm("PUT", &bad, r#"{"location":"x"}"#).await).1,
        "InvalidResourceGroup"
    );
    let list = app
        .arm("GET", &format!("{SUB}/resourcegroups?{CORE}"), "")
        .await
        .json();
    assert_eq!(list["value"].as_array().unwrap().len(), 1);

    app.arm("PUT", &format!("{}?{V}", comm("c")), &new_comm())
        .await;
    assert_eq!(app.app.communication_candidates(None).len(), 1);
    assert_eq!(app.arm("DELETE", &path, "").await.status, 200);
    assert_eq!(app.app.communication_candidates(None).len(), 0);
    assert_eq!(
        error(&app.arm("DELETE", &path, "").await).1,
        "ResourceGroupNotFound"
    );
}

#[tokio::test]
async fn providers_say_which_types_and_versions_there_are() {
    let app = TestApp::start().await;
    let path = format!("{SUB}/providers/microsoft.communication?{CORE}");
    let provider = app.arm("GET", &path, "").await.json();
    assert_eq!(provider["namespace"], "Microsoft.Communication");
    assert_eq!(provider["registrationState"], "Registered");
    let kind = &provider["resourceTypes"][0];
    assert_eq!(kind["resourceType"], "communicationServices");
    assert_eq!(kind["apiVersions"].as_array().unwrap().len(), 14);
    assert_eq!(kind["apiVersions"][0], "2026-03-18");
    let register = format!("{SUB}/providers/Microsoft.Communication/register?{CORE}");
    assert_eq!(app.arm("POST", &register, "").await.json(), provider);
    let list = app
        .arm("GET", &format!("{SUB}/providers?{CORE}"), "")
        .await
        .json();
    assert!(list["value"].as_array().unwrap().contains(&provider));
}

#[tokio::test]
async fn a_communication_resource_lives_its_life() {
    let app = app().await;
    let path = format!("{}?api-version=2020-08-20-preview", comm("Comm-1"));
    let put = app.arm("PUT", &path, &new_comm()).await;
    assert_eq!(put.status, 201, "{}", put.body);
    assert!(!put.headers.contains_key("azure-asyncoperation"));
    let made = put.json();
    assert_eq!(made["id"], comm("Comm-1"));
    assert_eq!(
        made["type"],
        "Microsoft.Communication/communicationServices"
    );
    assert_eq!(made["location"], "Global");
    assert_eq!(made["properties"]["provisioningState"], "Succeeded");
    assert_eq!(made["properties"]["hostName"], "localhost:8443");
    assert_eq!(made["properties"]["dataLocation"], "United States");
    assert_eq!(made["systemData"]["createdBy"], CLIENT_ID);
    assert_eq!(made["systemData"]["createdByType"], "Application");
    let immutable = made["properties"]["immutableResourceId"].clone();
    assert!(immutable.is_string());

    let lower = path.to_lowercase();
    let got = app.arm("GET", &format!("/{lower}"), "").await;
    assert_eq!(got.json(), made);
    assert!(got.headers["etag"].to_str().unwrap().starts_with('"'));

    let identity = json!({
        "tags": { "k": "v" }, "identity": { "type": "SystemAssigned" },
        "properties": { "DisableLocalAuth": true, "linkedDomains": ["d"], "publicNetworkAccess": "disabled" }
    });
    let patched = app.arm("PATCH", &path, &identity.to_string()).await.json();
    assert_eq!(patched["tags"], json!({ "k": "v" }));
    assert_eq!(patched["identity"]["type"], "SystemAssigned");
    assert!(patched["identity"]["principalId"].is_string());
    assert_eq!(patched["properties"]["publicNetworkAccess"], "Disabled");
    assert_eq!(patched["properties"]["immutableResourceId"], immutable);
    assert!(
        app.app
            .communication(&comm("comm-1"))
            .unwrap()
            .disable_local_auth
    );

    let again = app.arm("PUT", &path, &new_comm()).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json().get("tags"), None);
    assert_eq!(again.json()["properties"].get("linkedDomains"), None);
    assert_eq!(again.json()["properties"]["immutableResourceId"], immutable);
    let elsewhere = new_comm().replace("United States", "Europe");
    assert_eq!(
        error(&app.arm("PUT", &path, &elsewhere).await).1,
        "PropertyChangeNotAllowed"
    );

    let deleted = app.arm("DELETE", &path, "").await;
    assert_eq!(deleted.status, 200);
    let operation = deleted.headers["x-carillon-operation-id"]
        .to_str()
        .unwrap()
        .to_owned();
    for scope in ["", SUB] {
        let status = format!(
            "{scope}/providers/Microsoft.Communication/locations/global/operationStatuses/{operation}?{V}"
        );
        let status = app.arm("GET", &status, "").await.json();
        assert_eq!(
            (&status["status"], &status["name"]),
            (&json!("Succeeded"), &json!(operation))
        );
        assert_eq!(status["resourceId"], comm("Comm-1"));
    }
    let unknown = format!(
        "/providers/Microsoft.Communication/locations/global/operationStatuses/{immutable}?{V}"
    )
    .replace('"', "");
    assert_eq!(
        error(&app.arm("GET", &unknown, "").await).1,
        "OperationNotFound"
    );
    assert_eq!(app.arm("DELETE", &path, "").await.status, 204);
    assert_eq!(
        error(&app.arm("GET", &path, "").await).1,
        "ResourceNotFound"
    );
    assert_eq!(
        error(&app.arm("PATCH", &path, "{}").await).1,
        "ResourceNotFound"
    );
}

#[tokio::test]
async fn a_put_that_is_not_complete_names_the_field() {
    let app = app().await;
    let put = async |name: &str, body: &str| {
        let answer = app.arm("PUT", &format!("{}?{V}", comm(name)), body).await;
        let target = answer.json()["error"]["target"].as_str().map(str::to_owned);
        (error(&answer).0, error(&answer).1, target)
    };
    let field = |name: &str| Some(name.to_owned());
    let content = "InvalidRequestContent".to_owned();
    assert_eq!(put("c", "").await, (400, content.clone(), None));
    assert_eq!(put("c", "[1]").await, (400, content.clone(), None));
    assert_eq!(
        put("c", &"[".repeat(200_000)).await,
        (400, content.clone(), None)
    );
    assert_eq!(
        put("c", "{}").await,
        (400, "LocationRequired".into(), field("location"))
    );
    assert_eq!(
        put("c", "{location:'westeurope'}").await.1,
        "LocationNotAvailableForResourceType"
    );
    assert_eq!(
        put("c", "{location:'global'}").await,
        (400, content.clone(), field("properties.dataLocation"))
    );
    assert_eq!(
        put("c", "{location:'global',tags:{a:1}}").await,
        (400, content, field("tags"))
    );
    assert_eq!(put("a.b", &new_comm()).await.1, "InvalidResourceName");
}

#[tokio::test]
async fn etags_guard_changes() {
    let app = app().await;
    let path = format!("{}?{V}", comm("c"));
    let token = format!("Bearer {}", app.token().await);
    let send = async |method: &str, name: &str, value: &str, body: &str| {
        let headers = [("authorization", token.as_str()), (name, value)];
        app.send(method, &path, &headers, body).await
    };
    assert_eq!(
        error(&send("PUT", "if-match", "*", &new_comm()).await).1,
        "PreconditionFailed"
    );
    let first = send("PUT", "if-none-match", "*", &new_comm()).await;
    assert_eq!(first.status, 201);
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(
        send("PUT", "if-none-match", "*", &new_comm()).await.status,
        412
    );
    let second = send("PATCH", "if-match", &etag, "{}").await;
    assert_eq!(second.status, 200);
    assert_ne!(second.headers["etag"].to_str().unwrap(), etag);
    assert_eq!(send("PATCH", "if-match", &etag, "{}").await.status, 412);
    assert_eq!(send("DELETE", "if-match", &etag, "").await.status, 412);
}

#[tokio::test]
async fn keys_are_64_bytes_and_a_new_one_counts_at_once() {
    let app = app().await;
    app.arm("PUT", &format!("{}?{V}", comm("c")), &new_comm())
        .await;
    let action = |name: &str| format!("{}/{name}?api-version=2023-04-01", comm("c"));
    let keys = app.arm("POST", &action("listKeys"), "").await.json();
    let primary = keys["primaryKey"].as_str().unwrap();
    assert_eq!(primary.len(), 88);
    assert_eq!(
        keys["primaryConnectionString"],
        format!("endpoint=https://localhost:8443/;accesskey={primary}")
    );
    let new = app
        .arm("POST", &action("regenerateKey"), "{'keyType':'secondary'}")
        .await
        .json();
    assert_ne!(new["secondaryKey"], keys["secondaryKey"]);
    assert_eq!(new.as_object().unwrap().len(), 2);
    let after = app.arm("POST", &action("listkeys"), "{}").await.json();
    assert_eq!(
        (&after["primaryKey"], &after["secondaryKey"]),
        (&keys["primaryKey"], &new["secondaryKey"])
    );
    let held = app.app.communication(&comm("c")).unwrap();
    use secrecy::ExposeSecret;
    assert_eq!(new["secondaryKey"], held.secondary.expose_secret());
    let bad = app
        .arm("POST", &action("regenerateKey"), "{'keyType':'third'}")
        .await;
    assert_eq!(bad.json()["error"]["target"], "keyType");
}

#[tokio::test]
async fn names_are_checked_and_taken_once() {
    let app = app().await;
    let check = format!("{SUB}/providers/Microsoft.Communication/checkNameAvailability?{V}");
    let ask = |name: &str| {
        json!({ "name": name, "type": "Microsoft.Communication/CommunicationServices" }).to_string()
    };
    assert_eq!(
        app.arm("POST", &check, &ask("c")).await.json(),
        json!({ "nameAvailable": true })
    );
    app.arm("PUT", &format!("{}?{V}", comm("c")), &new_comm())
        .await;
    assert_eq!(
        app.arm("POST", &check, &ask("C")).await.json(),
        json!({ "nameAvailable": false, "reason": "AlreadyExists", "message": "Requested name is unavailable for the requested type" })
    );
    assert_eq!(
        app.arm("POST", &check, &ask("a.b")).await.json()["reason"],
        "Invalid"
    );
    assert_eq!(
        app.arm("POST", &check, "{}").await.json()["error"]["target"],
        "name"
    );
    app.arm(
        "PUT",
        &format!("{SUB}/resourceGroups/other?{CORE}"),
        "{location:'x'}",
    )
    .await;
    let other = comm("c").replace("/default/", "/other/");
    let taken = app.arm("PUT", &format!("{other}?{V}"), &new_comm()).await;
    assert_eq!(
        (error(&taken).0, error(&taken).1.as_str()),
        (409, "NameUnavailable")
    );
}

#[tokio::test]
async fn lists_page_with_absolute_links_and_filters() {
    let app = app().await;
    for index in 0..203 {
        let name = format!("c{index:03}");
        let id = wire::arm::ResourceId::parse(&comm(&name)).unwrap();
        let body: Value = serde_json::from_str(&new_comm()).unwrap();
        let mut body = body.as_object().unwrap().clone();
        if index == 7 {
            body.insert("tags".into(), json!({ "Lucky": "yes" }));
        }
        let actor = domain::resource::Actor::server();
        let always = service::control::Precondition::Always;
        app.app
            .put_communication(&id, &body, &always, &actor)
            .await
            .unwrap();
    }
    let mut path = format!("{SUB}/providers/Microsoft.Communication/communicationServices?{V}");
    let mut names = Vec::new();
    loop {
        let page = app.arm("GET", &path, "").await.json();
        let items = page["value"].as_array().unwrap();
        names.extend(
            items
                .iter()
                .map(|one| one["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["nextLink"].as_str() else {
            break;
        };
        assert!(next.contains("api-version=2025-09-01"), "{next}");
        next.strip_prefix("https://localhost:8443")
            .unwrap()
            .clone_into(&mut path);
    }
    assert_eq!(names.len(), 203);
    names.dedup();
    assert_eq!(names.len(), 203);
    let in_group = format!(
        "{SUB}/resourceGroups/DEFAULT/providers/Microsoft.Communication/communicationServices?{V}"
    );
    assert_eq!(
        app.arm("GET", &in_group, "").await.json()["value"]
            .as_array()
            .unwrap()
            .len(),
        200
    );

    let find = async |filter: &str| {
        let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let path = format!(
            "{SUB}/resources?$filter={filter}&$expand=createdTime,provisioningState&{CORE}"
        );
        app.arm("GET", &path, "").await
    };
    let found = find("resourceGroup eq 'default' and name eq 'C007'")
        .await
        .json();
    assert_eq!(found["value"].as_array().unwrap().len(), 1, "{found}");
    let one = &found["value"][0];
    assert_eq!(
        (&one["type"], &one["provisioningState"]),
        (
            &json!("Microsoft.Communication/communicationServices"),
            &json!("Succeeded")
        )
    );
    assert!(one["createdTime"].is_string() && one.get("changedTime").is_none());
    let tagged = find("tagName eq 'lucky' and tagValue eq 'yes'")
        .await
        .json();
    assert_eq!(tagged["value"].as_array().unwrap().len(), 1);
    assert_eq!(
        find("resourceType eq 'Microsoft.Compute/disks'")
            .await
            .json()["value"],
        json!([])
    );
    assert_eq!(
        error(&find("size gt 3").await).1,
        "InvalidFilterInQueryString"
    );
    let one = format!("{}?{V}", comm("c007"));
    assert_eq!(app.arm("HEAD", &one, "").await.status, 204);
    assert_eq!(
        app.arm("HEAD", &format!("{}?{V}", comm("none")), "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn operations_name_what_the_provider_does() {
    let app = TestApp::start().await;
    let path = format!("/providers/Microsoft.Communication/operations?{V}");
    let list = app.arm("GET", &path, "").await.json();
    let names: Vec<_> = list["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].clone())
        .collect();
    assert!(names.contains(&json!(
        "Microsoft.Communication/communicationServices/linkNotificationHub/action"
    )));
}
