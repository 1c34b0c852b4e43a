use super::*;
use ootheca_model::PrincipalId;
use proptest::prelude::*;

fn caller(number: u128) -> Principal {
    Principal {
        organization: OrganizationId(Uuid::from_u128(1)),
        id: PrincipalId(Uuid::from_u128(number)),
        name: String::new(),
        person: false,
        grants: Vec::new(),
    }
}

fn idempotency_key(number: u128, key: &str, request: &[&str]) -> IdempotencyKey {
    IdempotencyKey::of(&[7; 32], &caller(number), key, request)
}

fn sealed(idempotency_key: &IdempotencyKey, body: &[u8]) -> Sealed {
    match idempotency_key.answered(200, body).expect("sealed") {
        Progress::Answered { sealed, .. } => sealed,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_response_is_decrypted_only_for_the_same_caller_key_and_request() {
    let first = idempotency_key(1, "key", &["POST", "/a"]);
    let kept = sealed(&first, b"a secret");
    assert_eq!(first.open(&kept).expect("opened"), b"a secret");
    let others = [
        idempotency_key(2, "key", &["POST", "/a"]),
        idempotency_key(1, "kez", &["POST", "/a"]),
        idempotency_key(1, "key", &["POST", "/b"]),
        IdempotencyKey::of(&[8; 32], &caller(1), "key", &["POST", "/a"]),
    ];
    for other in &others {
        assert_eq!(other.open(&kept).expect_err("closed").kind(), ErrorKind::Internal);
    }
    assert_ne!(first.id, others[0].id);
    assert_ne!(first.id, others[1].id);
    assert_eq!(first.id, others[2].id, "the key alone finds the record");
    assert_ne!(first.request, others[2].request);
}

#[test]
fn parts_of_the_digest_are_delimited() {
    assert_ne!(idempotency_key(1, "k", &["ab", "c"]).request, idempotency_key(1, "k", &["a", "bc"]).request);
}

proptest! {
    #[test]
    fn sealed_responses_round_trip_and_are_unreadable(body in prop::collection::vec(any::<u8>(), 8..200)) {
        let idempotency_key = idempotency_key(1, "key", &[]);
        let kept = sealed(&idempotency_key, &body);
        prop_assert_eq!(idempotency_key.open(&kept).expect("opened"), body.clone());
        let text = STANDARD.decode(&kept.text).expect("base64");
        prop_assert!(!text.windows(body.len()).any(|part| part == body));
        prop_assert_ne!(sealed(&idempotency_key, &body).nonce, kept.nonce);
    }
}
