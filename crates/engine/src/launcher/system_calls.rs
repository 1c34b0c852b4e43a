//! Limits the system calls of this process, by a seccomp filter.
//!
//! A list of what is allowed would break extensions, so this is a list of what no SQL server needs: what
//! affects other processes or the machine, and the parts of the kernel in which most flaws are found.

use super::Sandbox;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// They fail with `EPERM`.
const DENIED: &[i64] = &[
    // Other processes.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    // Namespaces and mounts.
    libc::SYS_chroot,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_setns,
    libc::SYS_umount2,
    libc::SYS_unshare,
    // Large parts of the kernel that a server does not use. A ring could also issue what is denied here.
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_fanotify_init,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    // The machine.
    libc::SYS_acct,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_kexec_load,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_vhangup,
];

/// The bit that marks the calls of the x32 ABI, which some kernels accept besides the usual ones.
#[cfg(target_arch = "x86_64")]
const OTHER_ABI: i64 = 0x4000_0000;

/// Applies the filters. Without `network`, the process can only create Unix stream sockets, and without `connect`
/// either, it can't connect to one. Returns `false` if the kernel has no filters for this architecture.
pub(super) fn restrict(sandbox: &Sandbox) -> Result<bool, Error> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(false) };
    // Its arguments are in memory, where a filter can't read them. With this error, the C library calls `clone`.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    for (rules, error) in [(denied(sandbox)?, libc::EPERM), (clone3, libc::ENOSYS)] {
        match apply(rules, error, architecture) {
            Err(Error::Seccomp(error)) if is_unsupported(&error) => return Ok(false),
            applied => applied?,
        }
    }
    Ok(true)
}

fn is_unsupported(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL))
}

fn apply(rules: Rules, error: i32, architecture: TargetArch) -> Result<(), Error> {
    let denied = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture)?;
    apply_filter(&BpfProgram::try_from(filter)?)
}

fn denied(sandbox: &Sandbox) -> Result<Rules, Error> {
    let mut rules: Rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, vec![flag(0, libc::CLONE_NEWUSER)?]);
    if !sandbox.network {
        // A filter can't read the address in memory, so it is all sockets or none.
        if !sandbox.connect {
            rules.insert(libc::SYS_connect, Vec::new());
        }
        // A datagram socket can send without `connect`. The kernel treats a raw Unix socket as one.
        let sockets = [
            SeccompRule::new(vec![condition(0, SeccompCmpOp::Ne, libc::AF_UNIX)?])?,
            kind(libc::SOCK_DGRAM)?,
            kind(libc::SOCK_RAW)?,
            kind(libc::SOCK_SEQPACKET)?,
        ];
        rules.insert(libc::SYS_socket, sockets.into());
    }
    #[cfg(target_arch = "x86_64")]
    rules.append(&mut rules.clone().into_iter().map(|(call, rules)| (call | OTHER_ABI, rules)).collect());
    Ok(rules)
}

/// Matches calls whose argument contains a flag.
fn flag(argument: u8, flag: i32) -> Result<SeccompRule, Error> {
    let mask = u64::from(flag.unsigned_abs());
    Ok(SeccompRule::new(vec![condition(argument, SeccompCmpOp::MaskedEq(mask), flag)?])?)
}

/// Matches `socket` with a type, whatever its flags.
fn kind(kind: i32) -> Result<SeccompRule, Error> {
    const TYPE: u64 = 0xf;
    Ok(SeccompRule::new(vec![condition(1, SeccompCmpOp::MaskedEq(TYPE), kind)?])?)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: i32) -> Result<SeccompCondition, Error> {
    let value = u64::from(value.unsigned_abs());
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, UdpSocket},
        os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    };

    /// Filters apply to a thread, and are inherited only by what it starts.
    fn in_sandbox(sandbox: Sandbox, check: impl FnOnce() + Send + 'static) {
        let checked = std::thread::spawn(move || {
            if restrict(&sandbox).expect("applied") {
                check();
            } else {
                eprintln!("skipped: the kernel has no seccomp filters");
            }
        });
        checked.join().expect("it holds");
    }

    #[test]
    fn sockets_of_other_servers_and_the_network_are_out_of_reach() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).expect("a folder");
        let socket = folder.join("s");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let own = folder.join("own");
        in_sandbox(Sandbox::default(), move || {
            refused(UnixStream::connect(&socket).expect_err("connect"));
            only_unix_streams();
            UnixListener::bind(own).expect("a server can listen");
            std::thread::spawn(|| {}).join().expect("threads can be created");
            let output = std::process::Command::new("true").status().expect("programs can be started");
            assert!(output.success());
        });
        drop(listener);
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    #[test]
    fn connections_to_unix_sockets_can_be_allowed_alone() {
        let folder = std::env::temp_dir().join(format!("oo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&folder).expect("a folder");
        let socket = folder.join("s");
        let listener = UnixListener::bind(&socket).expect("a socket");
        in_sandbox(Sandbox { connect: true, ..Sandbox::default() }, move || {
            UnixStream::connect(&socket).expect("connected");
            only_unix_streams();
        });
        drop(listener);
        std::fs::remove_dir_all(&folder).expect("removed");
    }

    fn refused(error: std::io::Error) {
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
    }

    fn only_unix_streams() {
        refused(UnixDatagram::unbound().expect_err("datagrams"));
        refused(TcpListener::bind("127.0.0.1:0").expect_err("TCP"));
        refused(UdpSocket::bind("127.0.0.1:0").expect_err("UDP"));
    }

    #[test]
    fn namespaces_are_denied_and_the_network_can_be_allowed() {
        in_sandbox(Sandbox { network: true, ..Sandbox::default() }, || {
            UdpSocket::bind("127.0.0.1:0").expect("UDP is allowed");
            // `unshare` fails with EPERM even for a user that could create a namespace.
            let output = std::process::Command::new("unshare").args(["--user", "true"]).output();
            let output = output.expect("unshare is installed");
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && errors.contains("not permitted"), "{errors}");
        });
    }
}
