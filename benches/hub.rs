//! How fast a large file comes from the Hub: against curl, from one server on the loopback device.
//!
//!     cargo bench --bench hub -- [GiB] [rounds]
//!
//! Both write to the same disk, that of TMPDIR, and take turns. What comes from the Hub is also hashed and compared
//! with its SHA-256, which curl does not do.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest as _, Sha256};
use stillroom::hub::HubOptions;
use stillroom::hub::data_set::{Wanted, find};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const NAME: &str = "data/train-00000-of-00001.parquet";

/// The file that is served.
struct Served {
    path: PathBuf,
    n_bytes: u64,
    sha256: String,
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let n_bytes = numbers.next().unwrap_or(2) << 30;
    let n_rounds = numbers.next().unwrap_or(3);
    let folder = tempfile::tempdir().expect("a folder");
    let served = Arc::new(Served::write(&folder.path().join("served"), n_bytes));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback device");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let served = Arc::clone(&served);
            std::thread::spawn(move || stream.and_then(|stream| answer(&served, stream)));
        }
    });
    println!("{:.1} GiB a round; MiB/s", n_bytes as f64 / f64::from(1 << 30));
    let mut sums = [0.0, 0.0];
    for round in 1..=n_rounds {
        let curl = timed(n_bytes, || pull_with_curl(&endpoint, &folder.path().join("curl")));
        let ours = timed(n_bytes, || pull(&endpoint, &folder.path().join("cache")));
        println!("round {round}: curl {curl:.0}, stillroom {ours:.0}, {:.2} of curl", ours / curl);
        sums = [sums[0] + curl, sums[1] + ours];
    }
    println!("all rounds: {:.2} of curl", sums[1] / sums[0]);
}

impl Served {
    /// Bytes that do not repeat, and their digest.
    fn write(path: &Path, n_bytes: u64) -> Self {
        let mut file = File::create(path).expect("a file");
        let mut hasher = Sha256::new();
        let mut noise = blake3::Hasher::new().finalize_xof();
        let mut piece = vec![0; 1 << 20];
        for _ in 0..n_bytes >> 20 {
            noise.fill(&mut piece);
            hasher.update(&piece);
            file.write_all(&piece).expect("space on the disk");
        }
        let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: path.to_owned(), n_bytes: n_bytes >> 20 << 20, sha256 }
    }
}

fn timed(n_bytes: u64, pull: impl FnOnce()) -> f64 {
    let started = Instant::now();
    pull();
    n_bytes as f64 / f64::from(1 << 20) / started.elapsed().as_secs_f64()
}

fn pull(endpoint: &str, cache: &Path) {
    let mut options = HubOptions::from_env(false);
    endpoint.clone_into(&mut options.endpoint);
    cache.clone_into(&mut options.cache);
    let wanted = Wanted {
        repo: "org/name".to_owned(),
        revision: "main".to_owned(),
        config: None,
        split: "train".to_owned(),
    };
    let set = find(&wanted, &options, &cache.join("lists"), &mut |_| ()).expect("the data set");
    set.whole(NAME, &mut |_| ()).expect("the file");
    set.keep().expect("the disk");
    fs::remove_dir_all(cache).expect("the cache is ours");
}

fn pull_with_curl(endpoint: &str, target: &Path) {
    let url = format!("{endpoint}/datasets/org/name/resolve/{COMMIT}/{NAME}");
    let status = Command::new("curl").args(["-sf", "-o"]).arg(target).arg(url).status();
    assert!(status.expect("curl is installed").success());
    // Both leave their bytes on the disk, not in the page cache alone.
    File::open(target).and_then(|file| file.sync_all()).expect("the disk");
    fs::remove_file(target).expect("curl wrote it");
}

fn answer(served: &Served, mut stream: TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for header in lines {
        if header?.is_empty() {
            break;
        }
    }
    let head = |stream: &mut TcpStream, n_bytes: u64| {
        let Served { sha256, .. } = served;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"{sha256}\"\r\n\
             Content-Length: {n_bytes}\r\n\r\n"
        )
    };
    if first.contains("/api/") {
        let body =
            serde_json::json!({"sha": COMMIT, "siblings": [{"rfilename": NAME}]}).to_string();
        head(&mut stream, body.len() as u64)?;
        return stream.write_all(body.as_bytes());
    }
    head(&mut stream, served.n_bytes)?;
    if first.starts_with("GET") {
        io::copy(&mut File::open(&served.path)?, &mut stream)?;
    }
    Ok(())
}
