use super::*;
use ootheca_model::ClusterId;
use postgres_protocol::{
    authentication::sasl::{ChannelBinding, ScramSha256},
    password::scram_sha_256,
};
use proptest::prelude::*;

fn cluster() -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(7))
}

fn verifier(password: &str) -> Verifier {
    Verifier::parse(&scram_sha_256(password.as_bytes())).expect("a verifier")
}

fn initial(mechanism: &str, message: &[u8]) -> Vec<u8> {
    [mechanism.as_bytes(), b"\0", &(message.len() as u32).to_be_bytes(), message].concat()
}

fn exchange(
    verifier: &Verifier,
    password: &str,
    (mechanism, theirs): (&str, ChannelBinding),
    ours: Option<&[u8]>,
) -> Result<Proof, Failure> {
    let mut client = ScramSha256::new(password.as_bytes(), theirs);
    let challenge = Challenge::begin(verifier, ours, &initial(mechanism, client.message()))?;
    client.update(challenge.message.as_bytes()).expect("a challenge");
    let proof = challenge.finish(verifier, client.message())?;
    client.finish(proof.message.as_bytes()).expect("our signature");
    Ok(proof)
}

#[test]
fn the_right_password_and_the_wrong_one() {
    let known = verifier("correct horse");
    let unbound = || (PLAIN, ChannelBinding::unsupported());
    let proof = exchange(&known, "correct horse", unbound(), None).expect("a proof");
    assert_eq!(hash(&proof.client_key.0), known.stored_key);
    assert!(exchange(&known, "correct horse", unbound(), Some(b"hash")).is_ok());
    assert_eq!(exchange(&known, "wrong", unbound(), None).err(), Some(Failure::WrongProof));
    let nobody = Verifier::mock(&[1; 32], cluster(), "nobody", None);
    assert_eq!(exchange(&nobody, "", unbound(), None).err(), Some(Failure::WrongProof));
}

#[test]
fn channel_binding() {
    let known = verifier("p");
    let bound = |hash: &[u8]| (PLUS, ChannelBinding::tls_server_end_point(hash.to_vec()));
    assert!(exchange(&known, "p", bound(b"hash"), Some(b"hash")).is_ok());
    assert_eq!(exchange(&known, "p", bound(b"another"), Some(b"hash")).err(), Some(Failure::WrongBinding));
    assert!(matches!(exchange(&known, "p", bound(b"hash"), None), Err(Failure::Malformed(_))));
    let missed = || (PLAIN, ChannelBinding::unrequested());
    assert_eq!(exchange(&known, "p", missed(), Some(b"hash")).err(), Some(Failure::Downgrade));
    assert!(exchange(&known, "p", missed(), None).is_ok());
    let mixed = (PLUS, ChannelBinding::unsupported());
    assert!(matches!(exchange(&known, "p", mixed, Some(b"hash")), Err(Failure::Malformed(_))));
}

#[test]
fn a_client_key_logs_in_without_the_password() {
    let known = verifier("p");
    let unbound = (PLAIN, ChannelBinding::unsupported());
    let proof = exchange(&known, "p", unbound, None).expect("a proof");
    let login = Login::new(&known, &proof.client_key);
    let challenge = Challenge::begin(&known, None, &login.first()).expect("a challenge");
    let (answer, signature) = login.answer(challenge.message.as_bytes()).expect("an answer");
    let accepted = challenge.finish(&known, answer.as_bytes()).expect("accepted");
    assert_eq!(accepted.client_key, proof.client_key);
    assert!(Login::signed(accepted.message.as_bytes(), &signature));
    assert!(!Login::signed(b"v=AAAA", &signature) && !Login::signed(b"e=no", &signature));
    let changed = verifier("p");
    let challenge = Challenge::begin(&changed, None, &login.first()).expect("a challenge");
    let (answer, _) = login.answer(challenge.message.as_bytes()).expect("an answer");
    assert_eq!(challenge.finish(&changed, answer.as_bytes()).err(), Some(Failure::WrongProof));
    assert!(login.answer(b"r=another,s=AAAA,i=1").is_err());
}

#[test]
fn verifiers() {
    let text = scram_sha_256(b"p");
    assert!(Verifier::parse(&text).is_some());
    for text in [
        "",
        "md5abc",
        "SCRAM-SHA-256$",
        &text[..text.len() - 4],
        &text.replace("$4096", "$0"),
        &text.replace("$4096:", "$4096:*"),
    ] {
        assert!(Verifier::parse(text).is_none(), "{text}");
    }
    let salt = |secret: u8, user: &str| Verifier::mock(&[secret; 32], cluster(), user, None).salt;
    assert_eq!(salt(1, "ann"), salt(1, "ann"));
    assert_ne!(salt(1, "ann"), salt(1, "bob"));
    assert_ne!(salt(1, "ann"), salt(2, "ann"));
    let iterations = |known| Verifier::mock(&[1; 32], cluster(), "ann", known).iterations;
    assert_eq!([iterations(None), iterations(Some(0)), iterations(Some(9000))], [4096, 4096, 9000]);
    assert_eq!(format!("{:?}", verifier("p")), "Verifier");
}

#[test]
fn another_nonce_or_a_longer_message_is_refused() {
    let known = verifier("p");
    let begin = |message: &[u8]| Challenge::begin(&known, None, &initial(PLAIN, message));
    assert!(begin(b"n,,n=,r=abc").is_ok());
    for message in
        [&b"n,,n=,r="[..], b"n,a=b,n=,r=abc", b"n,,m=x,n=,r=abc", b"n,,n=,r=a b", b"z,,n=,r=abc", b""]
    {
        assert!(begin(message).is_err(), "{}", String::from_utf8_lossy(message));
    }
    let challenge = begin(b"n,,n=,r=abc").expect("a challenge");
    let proof = BASE64.encode([0; 32]);
    let finish = |text: String| challenge.finish(&known, text.as_bytes()).err();
    assert!(matches!(finish(format!("c=biws,r=abc,p={proof}")), Some(Failure::Malformed(_))));
    let right = format!("c=biws,r={}", challenge.nonce);
    assert_eq!(finish(format!("{right},p={proof}")), Some(Failure::WrongProof));
    assert!(matches!(finish(format!("{right},p=AAAA")), Some(Failure::Malformed(_))));
    assert!(matches!(finish(right), Some(Failure::Malformed(_))));
}

proptest! {
    #[test]
    fn never_panics(text: String, bytes: Vec<u8>, plus: bool, header in "(n|y|p=tls-server-end-point),,n=,r=.{0,9}") {
        let known = verifier_once();
        let _ = Verifier::parse(&text);
        let _ = Verifier::parse(&format!("SCRAM-SHA-256${text}"));
        let _ = Challenge::begin(known, Some(b"hash"), &bytes);
        let mechanism = if plus { PLUS } else { PLAIN };
        let _ = Challenge::begin(known, Some(b"hash"), &initial(mechanism, &bytes));
        if let Ok(challenge) = Challenge::begin(known, None, &initial(mechanism, header.as_bytes())) {
            let _ = challenge.finish(known, &bytes);
            let _ = challenge.finish(known, format!("c={text},r=,p={text}").as_bytes());
        }
        let key = ClientKey([3; 32]);
        let login = Login::new(known, &key);
        let _ = login.answer(&bytes);
        let _ = login.answer(format!("r={}{text}", login.nonce).as_bytes());
        let _ = Login::signed(&bytes, &[0; 32]);
    }
}

fn verifier_once() -> &'static Verifier {
    static KNOWN: std::sync::OnceLock<Verifier> = std::sync::OnceLock::new();
    KNOWN.get_or_init(|| verifier("p"))
}
