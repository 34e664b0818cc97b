//! The fuzz targets' invariants on every `cargo test`: random bytes, and transcripts with random damage. Deterministic: the same
//! inputs on every run and machine. `cargo fuzz run exchange` (in `fuzz/`) looks further.

mod support;

use support::{invariants, transcript};

const ROUNDS: usize = 20_000;

#[test]
fn mutated_transcripts_keep_the_invariants() {
    let corpus: Vec<Vec<u8>> = transcript::all()
        .into_iter()
        .map(|case| case.response)
        .filter(|response| response.len() <= 1024)
        .collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..ROUNDS {
        let mut input = vec![random.byte(), random.byte()];
        input.extend_from_slice(random.pick(&corpus));
        for _ in 0..random.below(4) {
            damage(&mut input, &corpus, &mut random);
        }
        invariants::exchange(&input);
    }
}

#[test]
fn mutated_heads_keep_the_invariants() {
    let seeds = [
        b"HTTP/1.1 200 OK\r\nA: b\r\nSet-Cookie: c\r\n\r\nrest".to_vec(),
        b"\r\nHTTP/1.0 404\nA:\t\xff\nB:\n\n".to_vec(),
    ];
    mutate(&seeds, invariants::response_head);
}

#[test]
fn mutated_chunked_bodies_keep_the_invariants() {
    let seeds = [
        b"5\r\nhello\r\n0\r\n\r\nrest".to_vec(),
        b"1;a=\"b;\\\"\"\r\nx\r\n00a \r\n0123456789\r\n0\r\nA: b\r\nTe: x\r\n\r\n".to_vec(),
    ];
    mutate(&seeds, invariants::chunked_body);
}

#[test]
fn random_bytes_keep_the_invariants() {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for _ in 0..ROUNDS / 4 {
        let len = random.below(200);
        let input: Vec<u8> = (0..len).map(|_| random.byte()).collect();
        invariants::exchange(&input);
        invariants::response_head(&input);
        invariants::chunked_body(&input);
    }
}

fn mutate(seeds: &[Vec<u8>], invariant: fn(&[u8])) {
    let mut random = Random(0xda94_2042_e4dd_58b5);
    for _ in 0..ROUNDS {
        let mut input = random.pick(seeds).to_vec();
        for _ in 0..random.below(5) {
            damage(&mut input, seeds, &mut random);
        }
        invariant(&input);
    }
}

/// One random change, with a taste for the bytes that matter to HTTP.
fn damage(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    const TELLING: &[u8] = b"\r\n :;,\t\"\\0f\x00\x7f\x80";

    let at = random.below(input.len() + 1);
    let telling = TELLING[random.below(TELLING.len())];
    match random.below(7) {
        0 => input.insert(at, telling),
        1 => input.insert(at, random.byte()),
        2 => input.truncate(at),
        3 if at < input.len() => input[at] = telling,
        4 if at < input.len() => drop(input.remove(at)),
        5 => {
            let end = at + random.below(input.len() - at + 1).min(20);
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        _ => {
            let other = random.pick(corpus);
            let from = random.below(other.len() + 1);
            input.extend_from_slice(&other[from..]);
        }
    }
}

/// xorshift64*: a few lines, and the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 33) as usize) % bound
    }

    fn byte(&mut self) -> u8 {
        (self.next() >> 56) as u8
    }

    fn pick<'a>(&mut self, items: &'a [Vec<u8>]) -> &'a [u8] {
        &items[self.below(items.len())]
    }
}
