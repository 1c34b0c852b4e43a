use super::*;
use proptest::prelude::*;

fn guard(exceeded: bool) -> StorageGuard {
    let notice = Notice { message: "storage limit\0 reached".into(), hint: "delete something".into() };
    StorageGuard::new(&notice, Arc::new(exceeded.into()))
}

fn inbound(guard: &mut StorageGuard, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    guard.inbound(bytes, &mut out).expect("well-formed");
    out
}

fn outbound(guard: &mut StorageGuard, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    guard.outbound(bytes, &mut out).expect("well-formed");
    out
}

fn query(text: &str) -> Vec<u8> {
    encode(b'Q', format!("{text}\0").as_bytes())
}

fn prepare(name: &str, text: &str) -> Vec<u8> {
    encode(b'P', format!("{name}\0{text}\0\0\x01\0\0\0\x17").as_bytes())
}

fn syntax_error() -> Vec<u8> {
    let message = format!("Msyntax error at or near \"{MARKER}\"\0");
    encode(b'E', ["SERROR\0VERROR\0C42601\0", &message, "P1\0\0"].concat().as_bytes())
}

fn refused_parse(name: &str) -> Vec<u8> {
    encode(b'P', format!("{name}\0{MARKER}\0\0\0").as_bytes())
}

#[test]
fn only_statements_that_add_data_are_replaced() {
    let mut guard = guard(true);
    for message in [
        query("select 1"),
        query("delete from t"),
        prepare("a", "select $1"),
        encode(b'B', b"\0a\0"),
        encode(b'S', b""),
        encode(b'd', b"insert into t values (1)"),
        encode(b'X', b""),
    ] {
        assert_eq!(inbound(&mut guard, &message), message);
    }
    assert_eq!(inbound(&mut guard, &query("insert into t values (1)")), query(MARKER));
    assert_eq!(inbound(&mut guard, &query("select 1; create table t ()")), query(MARKER));
    assert_eq!(inbound(&mut guard, &prepare("", "insert into t values ($1)")), refused_parse(""));
    assert_eq!(inbound(&mut guard, &prepare("a", "update t set a = $1")), refused_parse("a"));
    assert_eq!(inbound(&mut guard, &encode(b'F', b"\0\0\x03\xba")), query(MARKER));
}

#[test]
fn long_statements_are_refused_without_buffering() {
    let mut guard = guard(true);
    let longest = query(&format!("select '{}'", "a".repeat(MAX_STATEMENT_LENGTH - 10)));
    assert_eq!(longest.len(), MAX_STATEMENT_LENGTH + 5);
    assert_eq!(inbound(&mut guard, &longest), longest);
    let longer = query(&format!("select '{}'", "a".repeat(MAX_STATEMENT_LENGTH - 9)));
    assert_eq!(inbound(&mut guard, &longer[..5]), query(MARKER));
    assert_eq!(inbound(&mut guard, &longer[5..]), b"");
    assert!(guard.inbound.buffer.is_empty());
    let parse = prepare("a", &"a".repeat(MAX_STATEMENT_LENGTH));
    assert_eq!(inbound(&mut guard, &parse), refused_parse(MARKER));
    assert_eq!(inbound(&mut guard, &query("select 1")), query("select 1"));
}

#[test]
fn the_error_is_replaced_by_the_notice() {
    let mut guard = guard(true);
    let _ = inbound(&mut guard, &query("insert into t values (1)"));
    let other = encode(b'E', b"SERROR\0VERROR\0C42601\0Msyntax error at or near \"x\"\0P1\0\0");
    let ready = encode(b'Z', b"E");
    let answer = outbound(&mut guard, &[other.clone(), syntax_error(), ready.clone()].concat());
    let fields = b"SERROR\0VERROR\0C53100\0Mstorage limit reached\0Hdelete something\0\0";
    assert_eq!(answer, [other, encode(b'E', fields), ready].concat());
}

#[test]
fn statements_pass_once_the_limit_is_no_longer_exceeded() {
    let exceeded = Arc::new(AtomicBool::new(true));
    let mut guard = StorageGuard::new(&Notice { message: "m".into(), hint: "h".into() }, exceeded.clone());
    let insert = query("insert into t values (1)");
    assert_eq!(inbound(&mut guard, &insert), query(MARKER));
    exceeded.store(false, Ordering::Relaxed);
    assert_ne!(outbound(&mut guard, &syntax_error()), syntax_error());
    assert_eq!(inbound(&mut guard, &insert), insert);
}

#[test]
fn invalid_lengths_are_refused() {
    let mut out = Vec::new();
    assert!(guard(false).inbound(b"Q\0\0\0\x03", &mut out).is_err());
    assert!(guard(false).outbound(b"Z\0\0\0\0", &mut out).is_err());
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let text =
        prop::sample::select(&["select 1", "insert into t values (1)", "begin; update t set a = 1", ""]);
    prop_oneof![
        text.clone().prop_map(query),
        text.prop_map(|text| prepare("s", text)),
        (prop::sample::select(b"BCDEFHSXdcfEZT"), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, body)| encode(kind, &body)),
        Just(syntax_error()),
    ]
}

fn chunked(bytes: &[u8], cuts: &[usize], mut feed: impl FnMut(&[u8])) {
    let mut rest = bytes;
    for cut in cuts {
        let (chunk, later) = rest.split_at((*cut).min(rest.len()));
        feed(chunk);
        rest = later;
    }
    feed(rest);
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_chunks(
        messages in prop::collection::vec(message(), 0..8),
        cuts in prop::collection::vec(0usize..30, 0..20),
        exceeded: bool,
    ) {
        let bytes = messages.concat();
        let (mut whole, mut cut) = (guard(exceeded), guard(exceeded));
        let (expected, answers) = (inbound(&mut whole, &bytes), outbound(&mut whole, &bytes));
        let mut out = Vec::new();
        chunked(&bytes, &cuts, |chunk| out.extend(inbound(&mut cut, chunk)));
        prop_assert_eq!(&out, &expected);
        out.clear();
        chunked(&bytes, &cuts, |chunk| out.extend(outbound(&mut cut, chunk)));
        prop_assert_eq!(&out, &answers);
        if !exceeded {
            prop_assert!(expected == bytes && answers == bytes);
        }
    }

    #[test]
    fn statements_that_add_data_never_pass(messages in prop::collection::vec(message(), 0..8)) {
        let out = inbound(&mut guard(true), &messages.concat());
        for text in ["insert", "update"] {
            let text = [b"\0", text.as_bytes()].concat();
            prop_assert!(!out.windows(text.len()).any(|window| window == text));
        }
    }

    #[test]
    fn never_panics(bytes: Vec<u8>, exceeded: bool) {
        let (mut guard, mut out) = (guard(exceeded), Vec::new());
        let _ = guard.inbound(&bytes, &mut out);
        let _ = guard.outbound(&bytes, &mut out);
    }
}
