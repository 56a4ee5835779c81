//! Start, stop, and who may start where.

use std::net::TcpListener;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Process, directory, rest, run, stderr};

// More than one thread: the client must hear the server's goodbye while the test waits for its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_says_how_to_reach_it_and_stops() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    assert_eq!(server.env["pid"], server.pid());
    let (base_url, http_url) = (server.text("base_url"), server.text("http_url"));
    let client = server
        .client()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let answer = client
        .get(format!("{base_url}/healthz"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
    for path in ["/healthz", "/readyz", "/metrics", "/ca.pem"] {
        let answer = client
            .get(format!("{http_url}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let elsewhere = client
        .post(format!("{http_url}/a/b?c=d"))
        .send()
        .await
        .unwrap();
    assert_eq!(elsewhere.status(), 308);
    assert_eq!(
        elsewhere.headers()["location"],
        format!("{base_url}/a/b?c=d")
    );

    server.signal("TERM");
    assert!(server.ended_well());
    assert!(!dir.path().join("env.json").exists());
    let none = run(&["env", "--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("carillon dev"), "{}", stderr(&none));
}

#[tokio::test]
async fn a_second_start_keeps_authority_and_tenant() {
    let dir = directory();
    let first = Process::start(dir.path(), &[]);
    let (tenant, ca) = (
        first.env["tenant_id"].clone(),
        std::fs::read(dir.path().join("ca.pem")).unwrap(),
    );
    first.signal("KILL");
    assert!(!first.ended_well());
    // What a killed server left behind does not count as running.
    assert!(dir.path().join("env.json").exists());
    let none = run(&["env", "--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(none.status.code(), Some(1));

    let second = Process::start(dir.path(), &[]);
    assert_eq!(second.env["tenant_id"], tenant);
    assert_eq!(std::fs::read(dir.path().join("ca.pem")).unwrap(), ca);
}

#[test]
fn two_in_one_directory_is_an_error_that_names_the_other() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let second = run(&[
        "dev",
        "--data-dir",
        dir.path().to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
    ]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains(&format!("process {}", server.pid())),
        "{}",
        stderr(&second)
    );
}

#[test]
fn a_taken_port_is_an_error_that_names_it_and_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let _held = TcpListener::bind(taken).unwrap();
    for flag in ["--listen", "--http"] {
        let other = if flag == "--listen" {
            "--http"
        } else {
            "--listen"
        };
        let dir = directory();
        let failed = run(&[
            "dev",
            "--data-dir",
            dir.path().to_str().unwrap(),
            flag,
            &taken.to_string(),
            other,
            "127.0.0.1:0",
        ]);
        assert_eq!(failed.status.code(), Some(1));
        let text = stderr(&failed);
        assert!(
            text.contains(&taken.port().to_string()) && text.contains(flag),
            "{text}"
        );
    }
}

#[test]
fn a_wrong_command_line_or_configuration_ends_with_2() {
    let dir = directory();
    let data_dir = dir.path().to_str().unwrap();
    for (args, word) in [
        (
            vec!["dev", "--listen", "0.0.0.0:0", "--data-dir", data_dir],
            "loopback",
        ),
        (
            vec![
                "dev",
                "--config",
                "/no/such/file.toml",
                "--data-dir",
                data_dir,
            ],
            "/no/such/file.toml",
        ),
        (vec!["dev", "--port", "1"], "--port"),
        (vec!["dve"], "dve"),
    ] {
        let failed = run(&args);
        assert_eq!(failed.status.code(), Some(2), "{args:?}");
        assert!(stderr(&failed).contains(word), "{}", stderr(&failed));
    }
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let dir = directory();
    let server = Process::start(dir.path(), &[]);
    let port = server.https_port();
    let mut stream = server.connect(&["http/1.1"]).await;
    // Its body is half there when the server is told to stop. The 100 shows that the server has begun to wait for it.
    let head = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").await.unwrap();
    server.signal("TERM");
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(b"cd").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(server.ended_well());
}

#[tokio::test]
async fn a_lab_runs_alone_and_keeps_its_credentials() {
    let dir = directory();
    let mut before = None;
    for _ in 0..2 {
        let lab = Process::lab(dir.path());
        assert!(lab.env.get("base_url").is_none() && lab.env.get("communication").is_none());
        let url = format!(
            "{}/credentials",
            lab.env["lab"]["control_url"].as_str().unwrap()
        );
        let answer = lab.client().build().unwrap().get(url).send().await.unwrap();
        let credentials: serde_json::Value = answer.json().await.unwrap();
        let key = credentials["apns"]["keyId"].clone();
        assert!(key.is_string(), "{credentials}");
        assert_eq!(before.replace(key.clone()).unwrap_or(key.clone()), key);
        lab.signal("INT");
        assert!(lab.ended_well());
    }
}
