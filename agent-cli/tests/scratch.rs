#![allow(clippy::unwrap_used, missing_docs)]
mod support;
use std::fs;
use support::*;
#[test]
fn measure() {
    let bench = Bench::new();
    let _fake = Fake::start(
        &bench,
        Behaviour { algorithm: chancery_protocol::Algorithm::Ed25519, ..Behaviour::default() },
    );
    bench.run("openpgp make-cert release --user-id Example -o release.asc").expect(0);
    let dir = bench.dir.path();
    bench.write("big.spec", "Name: big\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n%description\nx\n%install\nmkdir -p %{buildroot}/x; truncate -s 1G %{buildroot}/x/a; truncate -s 1000M %{buildroot}/x/b\n%files\n/x\n");
    bench.write("many.spec", "Name: many\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n%description\nx\n%install\nmkdir -p %{buildroot}/x; cd %{buildroot}/x; seq 1 30000 | sed 's/^/a-rather-long-file-name-/' | xargs touch\n%files\n/x\n");
    let top = format!("_topdir {}/rpmbuild", dir.display());
    for s in ["many.spec"] {
        tool(
            "rpmbuild",
            &[
                "-bb",
                "--quiet",
                "--define",
                &top,
                "--define",
                "_binary_payload w0.ufdio",
                "--define",
                "__os_install_post %{nil}",
                s,
            ],
            dir,
        );
    }
    let time = |line: &str| {
        let out = std::process::Command::new("python3").args(["-c", "import os;os.environ.pop(\"X\",0);import resource,subprocess,sys,time;t=time.time();r=subprocess.run(sys.argv[1:]);u=resource.getrusage(resource.RUSAGE_CHILDREN);print(r.returncode, u.ru_maxrss,'KiB', round(time.time()-t,2),'s user',round(u.ru_utime,2),'sys',round(u.ru_stime,2))"])
            .arg(env!("CARGO_BIN_EXE_chancery")).args(line.split_whitespace()).current_dir(dir)
            .env("CHANCERY_SOCKET", bench.path("agent.sock")).output().unwrap();
        let t = String::from_utf8(out.stdout).unwrap();
        println!(
            "{}\n   {}{}",
            &line[..line.len().min(80)],
            t.lines().rev().take(2).collect::<Vec<_>>().join(" | "),
            String::from_utf8_lossy(&out.stderr)
        );
    };
    let p = bench.path("rpmbuild/RPMS/noarch/many-1-1.noarch.rpm");
    println!("many: {} bytes", fs::metadata(&p).unwrap().len());
    fs::copy(&p, bench.path("one.rpm")).unwrap();
    time("sign rpm --key release one.rpm");
    fs::copy(&p, bench.path("one.rpm")).unwrap();
    time("sign rpm --key release one.rpm");
    time("verify rpm --cert release.asc one.rpm");
    let mut names = vec![];
    for n in 0..128 {
        fs::copy(&p, bench.path(&format!("m{n}.rpm"))).unwrap();
        names.push(format!("m{n}.rpm"));
    }

    time("keys");

    time(&format!("sign rpm --key release {}", names.join(" ")));
    time(&format!("sign rpm --key release {}", names.join(" ")));
    time(&format!("sign rpm --key release --digest sha256 --in-place {}", names.join(" ")));
    time(&format!("verify rpm --cert release.asc {}", names.join(" ")));
}
