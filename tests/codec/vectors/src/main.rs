//! Prints the known answers in `tests/codec/vectors.json`: for each type and value, the bytes that
//! risc0's serde, borsh and bincode 1 make of it in Rust.
//!
//! `cargo run --manifest-path tests/codec/vectors/Cargo.toml > tests/codec/vectors.json`

use borsh::BorshSerialize;
use risc0_zkvm::Digest;
use serde::Serialize;
use serde_big_array::BigArray;
use serde_json::{Value, json};

#[derive(Clone, Serialize, BorshSerialize)]
struct Point {
    x: i32,
    y: i64,
}

#[derive(Clone, Serialize, BorshSerialize)]
struct Nothing;

#[derive(Clone, Serialize, BorshSerialize)]
struct Metres(u16);

#[derive(Clone, Serialize, BorshSerialize)]
struct Pair(u8, String);

#[derive(Clone, Serialize, BorshSerialize)]
enum Shape {
    Empty,
    Named(String),
    Line(Point, Point),
    Circle {
        centre: Point,
        radius: u64,
        filled: bool,
    },
}

#[derive(Clone, Serialize, BorshSerialize)]
struct Order {
    id: u128,
    owner: [u8; 4],
    shapes: Vec<Shape>,
    note: Option<String>,
    parts: Vec<Vec<u16>>,
    last: (bool, i8),
}

#[derive(Serialize, BorshSerialize)]
struct Long {
    #[serde(with = "BigArray")]
    signature: [u8; 64],
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn words<T: Serialize>(value: &T) -> String {
    let words = risc0_zkvm::serde::to_vec(value).expect("risc0 takes the value");
    hex(&words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect::<Vec<_>>())
}

fn case<T: Serialize + BorshSerialize>(kind: &str, given: Value, value: T) -> Value {
    json!({
        "type": kind,
        "value": given,
        "risc0": words(&value),
        "borsh": hex(&borsh::to_vec(&value).expect("borsh takes the value")),
        "bincode": hex(&bincode::serialize(&value).expect("bincode takes the value")),
    })
}

fn serde_case<T: Serialize>(kind: &str, given: Value, value: T) -> Value {
    json!({
        "type": kind,
        "value": given,
        "risc0": words(&value),
        "bincode": hex(&bincode::serialize(&value).expect("bincode takes the value")),
    })
}

fn main() {
    let point = Point { x: -1, y: i64::MIN };
    let order = Order {
        id: u128::MAX - 5,
        owner: [1, 2, 3, 255],
        shapes: vec![
            Shape::Empty,
            Shape::Named("é".into()),
            Shape::Line(point.clone(), Point { x: 7, y: 8 }),
            Shape::Circle {
                centre: point.clone(),
                radius: 1 << 40,
                filled: true,
            },
        ],
        note: Some("abcde".into()),
        parts: vec![vec![], vec![1, 2, 3]],
        last: (true, -7),
    };
    let order_given = json!({
        "id": (u128::MAX - 5).to_string(),
        "owner": "hex:010203ff",
        "shapes": [
            "Empty",
            {"Named": "é"},
            {"Line": [{"x": -1, "y": i64::MIN}, {"x": 7, "y": 8}]},
            {"Circle": {"centre": {"x": -1, "y": i64::MIN}, "radius": 1u64 << 40, "filled": true}},
        ],
        "note": "abcde",
        "parts": [[], [1, 2, 3]],
        "last": [true, -7],
    });
    let signature: [u8; 64] = std::array::from_fn(|i| i as u8 * 3);
    let digest = Digest::from(std::array::from_fn::<u8, 32, _>(|i| i as u8));
    let digest_hex = hex(digest.as_bytes());
    let bytes = vec![0u8, 1, 254, 255, 7];
    let mut cases = vec![
        case("u8", json!(0), 0u8),
        case("u8", json!(255), 255u8),
        case("u16", json!(0x1234), 0x1234u16),
        case("u32", json!(0xdead_beef_u32), 0xdead_beef_u32),
        case("u64", json!(u64::MAX - 1), u64::MAX - 1),
        case("u64", json!((u64::MAX - 1).to_string()), u64::MAX - 1),
        case("u128", json!((1u128 << 127).to_string()), 1u128 << 127),
        case("usize", json!(70_000), 70_000usize),
        case("i8", json!(-1), -1i8),
        case("i8", json!(127), 127i8),
        case("i16", json!(-32768), i16::MIN),
        case("i32", json!(-2), -2i32),
        case("i64", json!(-3), -3i64),
        case("i128", json!(i128::MIN.to_string()), i128::MIN),
        case("isize", json!(-70_000), -70_000isize),
        case("f32", json!(1.5), 1.5f32),
        case("f32", json!(-0.1), -0.1f32),
        case("f64", json!(0.1), 0.1f64),
        case("f64", json!("-inf"), f64::NEG_INFINITY),
        case("bool", json!(true), true),
        case("bool", json!(false), false),
        case("()", json!(null), ()),
        case("String", json!(""), String::new()),
        case("String", json!("abcde"), "abcde".to_owned()),
        case("String", json!("crab 🦀"), "crab 🦀".to_owned()),
        case("Option<u32>", json!(null), None::<u32>),
        case("Option<u32>", json!(9), Some(9u32)),
        case("Option<Option<u8>>", json!(null), None::<Option<u8>>),
        case(
            "Option<Option<u8>>",
            json!({"Some": null}),
            Some(None::<u8>),
        ),
        case("Option<Option<u8>>", json!({"Some": 3}), Some(Some(3u8))),
        case(
            "(u8, u64, String)",
            json!([1, 2, "x"]),
            (1u8, 2u64, "x".to_owned()),
        ),
        case("[u16; 3]", json!([1, 2, 3]), [1u16, 2, 3]),
        case("[u8; 5]", json!("hex:0001feff07"), [0u8, 1, 254, 255, 7]),
        case(
            "[(u8, bool); 2]",
            json!([[1, true], [2, false]]),
            [(1u8, true), (2, false)],
        ),
        case("Vec<u8>", json!("base64:AAH+/wc="), bytes.clone()),
        case("Vec<u8>", json!("hex:"), Vec::<u8>::new()),
        case("Vec<i16>", json!([-1, 2]), vec![-1i16, 2]),
        case(
            "Vec<String>",
            json!(["a", ""]),
            vec!["a".to_owned(), String::new()],
        ),
        case(
            "Vec<[u8; 2]>",
            json!(["hex:0102", "hex:0304"]),
            vec![[1u8, 2], [3, 4]],
        ),
        case("Box<u32>", json!(4), Box::new(4u32)),
        case("Digest", json!(digest_hex), digest),
        case("Point", json!({"x": -1, "y": i64::MIN}), point),
        case("Nothing", json!(null), Nothing),
        case("Metres", json!(42195), Metres(42195)),
        case("Pair", json!([3, "p"]), Pair(3, "p".into())),
        case("Shape", json!("Empty"), Shape::Empty),
        case("Shape", json!({"Named": "n"}), Shape::Named("n".into())),
        case("Order", order_given, order),
        case(
            "Long",
            json!({"signature": format!("hex:{}", hex(&signature))}),
            Long { signature },
        ),
    ];
    // borsh has neither characters nor `serde_bytes`, which is serde's own form of a byte string.
    let own = serde_bytes::ByteBuf::from(bytes);
    cases.extend([
        serde_case("ByteBuf", json!("hex:0001feff07"), own),
        serde_case("char", json!("a"), 'a'),
        serde_case("char", json!("€"), '€'),
        serde_case("char", json!("🦀"), '🦀'),
        serde_case(
            "Vec<Option<char>>",
            json!([null, "z"]),
            vec![None, Some('z')],
        ),
    ]);
    let lines = cases.iter().map(Value::to_string).collect::<Vec<_>>();
    println!("[\n{}\n]", lines.join(",\n"));
}
