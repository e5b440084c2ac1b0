//! Load on a host from several threads, and what it must have counted (decision: offered load).
//!
//! | command | counts |
//! |---|---|
//! | GET | 1 read; bytes: the key and the value that came back |
//! | SET, MSET | 1 write a key; bytes: the key and the value |
//! | INCR, DEL | 1 write a key; bytes: the key. INCR also when the value is no number |

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::resp::{Client, Reply};
use crate::rng::Rng;

const PIPELINE: usize = 32;
/// Between two batches of one thread: moderate load, the machine may be small.
const PAUSE: Duration = Duration::from_millis(3);
const KEYS: u64 = 20_000;

/// What was issued and answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Issued {
    /// In the order of [`crate::ledger::SERIES`].
    pub counts: [u64; 4],
}

impl Issued {
    fn read(&mut self, key: &[u8], value_len: usize) {
        self.counts[0] += 1;
        self.counts[2] += (key.len() + value_len) as u64;
    }

    fn write(&mut self, key: &[u8], value_len: usize) {
        self.counts[1] += 1;
        self.counts[3] += (key.len() + value_len) as u64;
    }
}

/// How a thread chooses its keys.
#[derive(Clone, Copy, Debug)]
enum Keys {
    /// Anywhere, as text.
    Uniform,
    /// Anywhere, as 8 bytes of any value.
    Binary,
    /// Near a point that moves.
    Hotspot,
}

/// A key as [`Traffic`] uses them, for splits and merges.
pub fn any_key(rng: &mut Rng) -> Vec<u8> {
    match rng.below(4) {
        0 => rng.next_u64().to_be_bytes().to_vec(),
        _ => text_key(rng.below(KEYS)),
    }
}

fn text_key(number: u64) -> Vec<u8> {
    format!("key:{number:06}").into_bytes()
}

/// Running load.
#[derive(Debug)]
pub struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Issued>>,
}

impl Traffic {
    /// Starts `threads` threads against the host at `address`.
    pub fn start(address: &str, threads: usize, rng: &mut Rng) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads).map(|index| {
            let keys = [Keys::Uniform, Keys::Hotspot, Keys::Binary][index % 3];
            let (rng, stop, client) = (rng.fork(), Arc::clone(&stop), Client::connect(address));
            std::thread::spawn(move || drive(client, keys, rng, &stop))
        });
        Self { threads: threads.collect(), stop }
    }

    /// Stops; everything that was issued has been answered. Returns the sum.
    pub fn stop(self) -> Issued {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Issued::default();
        for thread in self.threads {
            let issued = thread.join().unwrap();
            for (sum, count) in sum.counts.iter_mut().zip(issued.counts) {
                *sum += count;
            }
        }
        sum
    }
}

fn drive(mut client: Client, keys: Keys, mut rng: Rng, stop: &AtomicBool) -> Issued {
    let (mut issued, started) = (Issued::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let moved = started.elapsed().as_millis() as u64;
        let mut reads: Vec<Option<Vec<u8>>> = Vec::with_capacity(PIPELINE);
        for _ in 0..PIPELINE {
            let key = |rng: &mut Rng| match keys {
                Keys::Uniform => text_key(rng.below(KEYS)),
                Keys::Binary => rng.next_u64().to_be_bytes().to_vec(),
                Keys::Hotspot => text_key((moved * 2 + rng.below(100)) % KEYS),
            };
            reads.push(queue(&mut client, key, &mut rng, &mut issued));
        }
        client.flush();
        for key in reads {
            match (client.reply(), key) {
                (Reply::Bulk(value), Some(key)) => {
                    issued.read(&key, value.map_or(0, |value| value.len()));
                }
                (Reply::Error(text), _) => assert!(text.contains("not an integer"), "{text}"),
                (_, None) => {}
                (reply, Some(_)) => panic!("a GET was answered with {reply:?}"),
            }
        }
        std::thread::sleep(PAUSE);
    }
    issued
}

/// Queues one command. Returns the key of a read.
fn queue(
    client: &mut Client,
    key: impl Fn(&mut Rng) -> Vec<u8>,
    rng: &mut Rng,
    issued: &mut Issued,
) -> Option<Vec<u8>> {
    let first = key(rng);
    let value = |rng: &mut Rng| vec![b'v'; rng.below(120) as usize];
    match rng.below(10) {
        0..=3 => {
            client.queue(&[b"GET", &first]);
            return Some(first);
        }
        4..=6 => {
            let value = value(rng);
            client.queue(&[b"SET", &first, &value]);
            issued.write(&first, value.len());
        }
        7 => {
            client.queue(&[b"INCR", &first]);
            issued.write(&first, 0);
        }
        8 => {
            let pairs: Vec<_> = (0..rng.between(1, 6)).map(|_| (key(rng), value(rng))).collect();
            let mut words: Vec<&[u8]> = vec![b"MSET"];
            for (key, value) in &pairs {
                words.extend([&key[..], value]);
                issued.write(key, value.len());
            }
            client.queue(&words);
        }
        _ => {
            let second = key(rng);
            client.queue(&[b"DEL", &first, &second]);
            issued.write(&first, 0);
            issued.write(&second, 0);
        }
    }
    None
}
