//! SCIM: the formats of RFC 7644, and the requests of two large identity providers.

use crate::{
    sessions::{Browser, PASSWORD, person},
    support::{audit_log, column, id, simulated},
};
use ootheca_testkit::{Answer, Ootheca};
use serde_json::{Value, json};
use std::{path::Path, process::Command};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

fn call(server: &Ootheca, method: &str, path: &str, body: Value) -> Answer {
    let request = server.raw(method, &format!("/api/scim/v2{path}"));
    let request = request.header("content-type", "application/scim+json");
    let answer = if body.is_null() { request.send() } else { request.body(body.to_string()).send() };
    assert_eq!(answer.header("content-type"), Some("application/scim+json"), "{answer}");
    answer
}

fn get(server: &Ootheca, path: &str) -> Answer {
    call(server, "GET", path, Value::Null)
}

fn new_user(server: &Ootheca, name: &str) -> String {
    let body = json!({
        "schemas": [USER],
        "userName": name,
        "externalId": format!("ext-{name}"),
        "displayName": format!("The {name}"),
        "name": { "givenName": name, "familyName": "Family" },
        "emails": [{ "value": format!("{name}@example.com"), "type": "work", "primary": true }],
        "active": true,
    });
    id(call(server, "POST", "/Users", body).ok())
}

fn new_group(server: &Ootheca, name: &str, members: &[&str]) -> String {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({ "schemas": [GROUP], "displayName": name, "members": members });
    id(call(server, "POST", "/Groups", body).ok())
}

fn patch(server: &Ootheca, path: &str, operations: Value) -> Answer {
    call(server, "PATCH", path, json!({ "schemas": [PATCH], "Operations": operations }))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn lifecycle_of_a_user() {
    let server = simulated();
    let ada = new_user(&server, "ada");
    let found = get(&server, &format!("/Users/{ada}"));
    let user = found.ok();
    assert_eq!(user["schemas"], json!([USER]));
    assert_eq!(user["userName"], "ada");
    assert_eq!(user["externalId"], "ext-ada");
    assert_eq!(user["name"], json!({ "givenName": "ada", "familyName": "Family" }));
    let email = json!([{ "value": "ada@example.com", "type": "work", "primary": true }]);
    assert_eq!((&user["emails"], &user["active"], &user["groups"]), (&email, &json!(true), &json!([])));
    assert_eq!(user["meta"]["resourceType"], "User");
    assert_eq!(user["meta"]["location"], format!("/api/scim/v2/Users/{ada}"));
    let version = user["meta"]["version"].clone();
    // The same person in the rest of the API.
    let person = server.get("/users/persons-by-email?email=Ada@example.com");
    assert_eq!(person.ok()["user"], json!({ "id": ada, "email": "ada@example.com" }));

    let taken = json!({ "schemas": [USER], "userName": "ADA", "emails": [{ "value": "other@example.com" }] });
    let answer = call(&server, "POST", "/Users", taken);
    answer.refused(409);
    assert_eq!(answer.body["scimType"], "uniqueness");
    let taken = json!({ "schemas": [USER], "userName": "x", "emails": [{ "value": "ADA@example.com" }] });
    call(&server, "POST", "/Users", taken).refused(409);

    let body = json!({ "schemas": [USER], "USERNAME": "lovelace", "emails": [
        { "value": "home@example.com", "type": "home" },
        { "value": "Lovelace@example.com", "type": "work", "primary": true },
    ] });
    let replaced = call(&server, "PUT", &format!("/Users/{ada}"), body);
    assert_eq!(replaced.ok()["userName"], "lovelace");
    assert_eq!(replaced.body.get("displayName"), None, "attributes that a PUT omits are removed");
    assert_ne!(replaced.body["meta"]["version"], version);
    assert_eq!(&replaced.body, get(&server, &format!("/Users/{ada}")).ok());
    server.get("/users/persons-by-email?email=ada@example.com").refused(404);
    server.get("/users/persons-by-email?email=lovelace@example.com").ok();

    assert_eq!(call(&server, "DELETE", &format!("/Users/{ada}"), Value::Null).ok(), &json!({}));
    get(&server, &format!("/Users/{ada}")).refused(404);
    call(&server, "DELETE", &format!("/Users/{ada}"), Value::Null).refused(404);
    let log = audit_log(&server);
    let actions: Vec<&str> = log.iter().filter_map(|entry| entry["action"].as_str()).collect();
    for word in ["CREATE_USER", "UPDATE_USER", "DELETE_USER"] {
        assert!(actions.contains(&&*format!("AUDIT_LOG_ACTION_{word}")), "{word}: {actions:?}");
    }
}

#[test]
fn people_in_the_settings_are_users() {
    let server = ootheca_testkit::ServerBuilder::new(crate::support::PROGRAM)
        .env("OOTHECA_ORGANIZATION__PEOPLE", "[\"Grace@example.com\"]")
        .boot();
    let list = get(&server, "/Users");
    let grace = &list.ok()["Resources"][0];
    assert_eq!((&grace["userName"], &grace["active"]), (&json!("grace@example.com"), &json!(true)));
    assert_eq!(grace["emails"][0]["value"], "grace@example.com");
    let path = format!("/Users/{}", id(grace));
    patch(&server, &path, json!([{ "op": "replace", "value": { "active": false } }])).ok();
    assert_eq!(get(&server, &path).ok()["active"], false);
}

#[test]
fn deactivated_users_are_signed_out() {
    let server = simulated();
    let session = "/api/ootheca/v1/session";
    let mut ada = person(&server, "ada@example.com", &[]);
    let path = format!("/Users/{}", ada.api("GET", session, None).text("/user/id"));
    let patched = |active: bool| {
        patch(&server, &path, json!([{ "op": "replace", "value": { "active": active } }])).ok();
    };
    let put = |active: bool| {
        call(&server, "PUT", &path, json!({ "schemas": [USER], "active": active })).ok();
    };
    for turn in [&patched as &dyn Fn(bool), &put] {
        turn(true);
        ada.api("GET", session, None).ok();
        turn(false);
        ada.api("GET", session, None).refused(401);
        turn(true);
        ada.api("GET", session, None).refused(401);
        ada = Browser::new(&server);
        ada.sign_in(json!({ "email": "ada@example.com", "password": PASSWORD })).ok();
    }
}

#[test]
fn lists_are_filtered_sorted_and_paged() {
    let server = simulated();
    for name in ["eve", "ada", "dan", "bob", "cyd"] {
        new_user(&server, name);
    }
    let names = |query: &str| column(&get(&server, &format!("/Users?{query}")).ok()["Resources"], "userName");
    let filtered = |filter: &str| names(&format!("sortBy=userName&filter={}", encoded(filter)));
    assert_eq!(filtered("userName eq \"BOB\""), ["bob"]);
    assert_eq!(filtered("externalId eq \"ext-cyd\""), ["cyd"]);
    assert_eq!(filtered("emails.value eq \"dan@example.com\""), ["dan"]);
    assert_eq!(
        filtered("emails[type eq \"work\" and value sw \"e\"] or displayName ew \"ada\""),
        ["ada", "eve"]
    );
    assert_eq!(filtered("not (userName gt \"b\") and active eq true"), ["ada"]);
    assert_eq!(filtered("meta.created gt \"2099-01-01T00:00:00Z\""), Vec::<String>::new());
    assert_eq!(names("sortBy=userName"), ["ada", "bob", "cyd", "dan", "eve"]);
    assert_eq!(names("sortBy=USERNAME&sortOrder=descending&count=2"), ["eve", "dan"]);
    let page = get(&server, "/Users?sortBy=userName&startIndex=4&count=3");
    let expected = json!({ "schemas": [LIST], "totalResults": 5, "itemsPerPage": 2, "startIndex": 4 });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(&page.ok()[name], value, "{name}");
    }
    assert_eq!(column(&page.body["Resources"], "userName"), ["dan", "eve"]);
    let totals = get(&server, "/Users?count=0&startIndex=-3");
    assert_eq!((&totals.ok()["totalResults"], &totals.body["startIndex"]), (&json!(5), &json!(1)));
    assert_eq!(totals.body["Resources"], json!([]));
    let chosen = get(&server, "/Users?sortBy=userName&count=1&attributes=userName,emails.value");
    let mut user = chosen.ok()["Resources"][0].clone();
    user["id"].take();
    let expected = json!({ "schemas": [USER], "id": null, "userName": "ada", "emails": [{ "value": "ada@example.com" }] });
    assert_eq!(user, expected);
    let rest = get(&server, "/Users?count=1&excludedAttributes=emails,meta");
    assert_eq!(
        (rest.ok()["Resources"][0].get("emails"), rest.body["Resources"][0].get("meta")),
        (None, None)
    );
    for (query, kind) in [("filter=userName", "invalidFilter"), ("sortOrder=up", "invalidValue")] {
        let answer = get(&server, &format!("/Users?{query}"));
        answer.refused(400);
        assert_eq!(answer.body["scimType"], kind, "{answer}");
    }
    // Both methods of `.search`, with the attributes as an array.
    for method in ["POST", "PUT"] {
        let search = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter": "userName sw \"a\"", "attributes": ["userName"], "startIndex": 1, "count": 10,
        });
        let found = call(&server, method, "/Users/.search", search);
        assert_eq!(column(&found.ok()["Resources"], "userName"), ["ada"]);
        assert_eq!(found.body["Resources"][0].get("emails"), None);
        let one = format!("/Users/{}/.search", id(&found.body["Resources"][0]));
        let one = call(&server, method, &one, json!({ "attributes": "displayName" }));
        assert_eq!((&one.ok()["displayName"], one.body.get("userName")), (&json!("The ada"), None));
    }
}

#[test]
fn patches_are_atomic() {
    let server = simulated();
    let path = format!("/Users/{}", new_user(&server, "ada"));
    let after = patch(
        &server,
        &path,
        json!([
            { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@example.com" },
            { "op": "add", "path": "emails", "value": [{ "value": "home@example.com", "type": "home" }] },
            { "op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:name.familyName", "value": "Byron" },
            { "op": "remove", "path": "externalId" },
            { "op": "replace", "value": { "displayName": "Countess", "id": "ignored", "title": "unknown" } },
            { "op": "replace", "path": "active", "value": "False" },
        ]),
    );
    let user = after.ok();
    assert_eq!(user["emails"][0]["value"], "new@example.com");
    assert_eq!(user["emails"][1]["type"], "home");
    assert_eq!(user["name"], json!({ "givenName": "ada", "familyName": "Byron" }));
    assert_eq!((user.get("externalId"), &user["displayName"]), (None, &json!("Countess")));
    assert_eq!(user["active"], false);
    server.get("/users/persons-by-email?email=new@example.com").ok();
    let before = get(&server, &path).ok().clone();
    assert_eq!(&before, user);
    let good = json!({ "op": "replace", "path": "displayName", "value": "Nobody" });
    for (bad, kind) in [
        (json!({ "op": "replace", "path": "emails[type eq \"fax\"].value", "value": "x@y.z" }), "noTarget"),
        (json!({ "op": "replace", "path": "id", "value": "x" }), "mutability"),
        (json!({ "op": "replace", "path": "emails[type", "value": "x" }), "invalidPath"),
        (json!({ "op": "remove" }), "noTarget"),
        (json!({ "op": "move", "path": "displayName" }), "invalidValue"),
        (json!({ "op": "replace", "path": "active", "value": "perhaps" }), "invalidValue"),
        (json!({ "op": "replace", "path": "userName", "value": { "a": 1 } }), "invalidValue"),
        (json!({ "op": "remove", "path": "emails" }), "invalidValue"),
        (json!({ "op": "add", "path": "emails", "value": { "value": "no address" } }), "invalidValue"),
    ] {
        let answer = patch(&server, &path, json!([good, bad]));
        answer.refused(400);
        assert_eq!(answer.body["scimType"], kind, "{bad}: {answer}");
        assert_eq!(get(&server, &path).ok(), &before, "{bad}");
    }
    let no_schema = json!({ "Operations": [good] });
    let answer = call(&server, "PATCH", &path, no_schema);
    answer.refused(400);
    assert_eq!(answer.body["scimType"], "invalidSyntax");
}

#[test]
fn members_hold_the_roles_of_their_groups() {
    let server = simulated();
    let (ada, bob) = (new_user(&server, "ada"), new_user(&server, "bob"));
    let group = new_group(&server, "Operators", &[&ada]);
    let path = format!("/Groups/{group}");
    let members = |path: &str| {
        let mut names = column(&get(&server, path).ok()["members"], "display");
        names.sort();
        names
    };
    assert_eq!(members(&path), ["The ada"]);
    let shown = get(&server, &format!("/Users/{ada}"));
    let place = format!("/api/scim/v2/Groups/{group}");
    let membership =
        json!([{ "value": group, "display": "Operators", "type": "direct", "ref": place, "$ref": place }]);
    assert_eq!(shown.ok()["groups"], membership);

    // Roles are granted to the group, and held by its members.
    let grant = format!("/roles/{group}/ORGANIZATION//CLUSTER_OPERATOR_WRITER");
    server.request("POST", &grant).send().ok();
    let role = json!({ "name": "CLUSTER_OPERATOR_WRITER", "resource": { "type": "ORGANIZATION" } });
    let given = json!([{ "role": role, "group_names": ["Operators"] }]);
    let roles = |who: &str| server.get(&format!("/roles/{who}")).ok()["group_roles"].clone();
    assert_eq!((roles(&ada), roles(&bob)), (given.clone(), json!([])));
    let all = server.get("/roles");
    assert_eq!(all.ok()["user_group_grants"], json!([{ "user_id": ada, "group_roles": given }]));
    assert!(
        server.get(&format!("/roles/{group}")).ok()["roles"]
            .as_array()
            .is_some_and(|roles| roles.contains(&role))
    );

    // Adding a member twice has the same effect as adding it once. There are two ways to remove it.
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": bob }, { "value": ada }] }]);
    patch(&server, &path, add.clone()).ok();
    assert_eq!(patch(&server, &path, add).ok()["members"].as_array().map(Vec::len), Some(2));
    assert_eq!(roles(&bob), given);
    patch(&server, &path, json!([{ "op": "remove", "path": format!("members[value eq \"{ada}\"]") }])).ok();
    assert_eq!((members(&path), roles(&ada)), (vec!["The bob".to_owned()], json!([])));
    patch(&server, &path, json!([{ "op": "Remove", "path": "members", "value": [{ "value": bob }] }])).ok();
    assert_eq!(members(&path), Vec::<String>::new());
    patch(&server, &path, json!([{ "op": "replace", "path": "members", "value": [{ "value": ada }] }])).ok();
    patch(&server, &path, json!([{ "op": "replace", "value": { "id": group, "displayName": "Crew" } }])).ok();
    assert_eq!(roles(&ada)[0]["group_names"], json!(["Crew"]));
    let strange = json!([{ "op": "add", "path": "members", "value": [{ "value": group }] }]);
    patch(&server, &path, strange).refused(400);

    let filter = encoded(&format!("displayName eq \"crew\" and members.value eq \"{ada}\""));
    assert_eq!(get(&server, &format!("/Groups?filter={filter}")).ok()["totalResults"], 1);
    let list = get(&server, "/Groups?excludedAttributes=members");
    assert_eq!(list.ok()["Resources"][0].get("members"), None);
    for method in ["POST", "PUT"] {
        assert_eq!(call(&server, method, "/Groups/.search", json!({ "count": 0 })).ok()["totalResults"], 1);
        let one = call(&server, method, &format!("{path}/.search"), json!({ "attributes": "displayName" }));
        assert_eq!((&one.ok()["displayName"], one.body.get("members")), (&json!("Crew"), None));
    }
    let whole =
        json!({ "schemas": [GROUP], "displayName": "Crew", "members": [{ "value": ada }, { "value": bob }] });
    call(&server, "PUT", &path, whole).ok();
    call(&server, "DELETE", &format!("/Users/{bob}"), Value::Null).ok();
    assert_eq!(members(&path), ["The ada"]);
    call(&server, "DELETE", &path, Value::Null).ok();
    assert_eq!(
        (roles(&ada), get(&server, &format!("/Users/{ada}")).ok()["groups"].clone()),
        (json!([]), json!([]))
    );
    get(&server, &path).refused(404);
}

#[test]
fn a_patch_changes_only_its_targets() {
    let server = simulated();
    let [ada, bob, eve] = ["ada", "bob", "eve"].map(|name| new_user(&server, name));
    let path = format!("/Groups/{}", new_group(&server, "Operators", &[&ada, &bob, &eve]));
    let after = |value: Value| {
        let answer = patch(&server, &path, json!([{ "op": "remove", "path": "members", "value": value }]));
        let mut names = column(&answer.ok()["members"], "display");
        names.sort();
        names
    };
    assert_eq!(after(json!([])), ["The ada", "The bob", "The eve"]);
    assert_eq!(after(json!({ "value": ada })), ["The bob", "The eve"]);
    assert_eq!(after(json!([{ "value": eve }])), ["The bob"]);
    let nameless = json!([{ "op": "remove", "path": "members", "value": [{ "display": "The bob" }] }]);
    assert_eq!(
        patch(&server, &path, nameless).refused(400),
        "invalid argument: value: must contain the value of each item to remove"
    );

    let value = json!({ "emails[type eq \"work\"].value": "new@ex.com", "name.familyName": "Byron" });
    let user = patch(&server, &format!("/Users/{bob}"), json!([{ "op": "add", "value": value }]));
    assert_eq!(user.ok()["emails"][0]["value"], "new@ex.com");
    assert_eq!(user.body["name"]["familyName"], "Byron");
}

#[test]
fn concurrent_patches_of_a_group_lose_no_member() {
    let server = simulated();
    let users: Vec<String> = (0..8).map(|number| new_user(&server, &format!("user{number}"))).collect();
    let group = new_group(&server, "Everybody", &[]);
    let path = format!("/Groups/{group}");
    std::thread::scope(|scope| {
        for user in &users {
            let (server, path) = (&server, &path);
            scope.spawn(move || {
                let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
                patch(server, path, add).ok();
            });
        }
    });
    assert_eq!(get(&server, &path).ok()["members"].as_array().map(Vec::len), Some(8));
}

#[test]
fn the_service_describes_its_capabilities() {
    let server = simulated();
    let config = get(&server, "/ServiceProviderConfig");
    for (name, supported) in
        [("patch", true), ("filter", true), ("sort", true), ("bulk", false), ("changePassword", false)]
    {
        assert_eq!(config.ok()[name]["supported"], supported, "{name}");
    }
    let types = get(&server, "/ResourceTypes");
    assert_eq!(column(&types.ok()["Resources"], "endpoint"), ["/Users", "/Groups"]);
    assert_eq!(get(&server, "/ResourceTypes/User").ok()["schema"], USER);
    get(&server, "/ResourceTypes/Planet").refused(404);
    let schemas = get(&server, "/Schemas");
    assert_eq!(column(&schemas.ok()["Resources"], "id"), [USER, GROUP]);
    let group = get(&server, &format!("/Schemas/{GROUP}"));
    assert_eq!(column(&group.ok()["attributes"], "name"), ["displayName", "externalId", "members"]);
    get(&server, "/Schemas/urn:x").refused(404);
    let member = server.with_key(&server.new_key(&[]));
    assert_eq!(member.raw("GET", "/api/scim/v2/Schemas?attributes=name").send().status, 200);
    assert_eq!(member.raw("GET", "/api/scim/v2/Users").send().refused(403), "no permission");
    // Unknown paths and methods, and a client that accepts plain JSON.
    get(&server, "/Nothing").refused(404);
    server.raw("DELETE", "/api/scim/v2/Users").send().refused(405);
    let plain = server.raw("GET", "/api/scim/v2/Users").header("accept", "application/json").send();
    assert_eq!(plain.header("content-type"), Some("application/json"));
}

/// A client library of the standard; `./dev test` installs it in `target/clients`.
#[test]
fn a_client_library_works() {
    let server = simulated();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut python = Command::new(repository.join("target/clients/bin/python"));
    python.arg(repository.join("tests/clients/scim_client.py")).arg(server.client().base());
    let output = python.arg(server.admin_key()).output().expect("python; ./dev test installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().collect::<Vec<_>>(), ["discovery", "users", "patches", "groups"]);
}
