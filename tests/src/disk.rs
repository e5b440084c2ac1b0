//! Small filesystems of a test's own: a tmpfs that can be filled, and an ext4 whose power can be cut.
//!
//! Both need root and `mount`; where that is not so, `mount` says it ([`skipped`]) and gives none.
//! Both are unmounted when they are dropped.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::skipped;

/// Runs a command; `None` (and a line that says so) where the machine does not permit it.
fn permitted(what: &str, command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) if output.status.success() => Some(output),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            skipped(&format!("{what} is not permitted: {said}"));
            None
        }
        Err(error) => {
            skipped(&format!("{what}: {error}"));
            None
        }
    }
}

fn unmount(path: &Path) {
    // Lazily: a process that is being killed may still hold a file.
    let _ = Command::new("umount").arg("-l").arg(path).output();
}

/// A tmpfs.
#[derive(Debug)]
pub struct SmallDisk {
    /// Where it is mounted.
    pub path: PathBuf,
    _folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of `size_mib`, of which `left_mib` are not taken.
    pub fn mount(size_mib: u64, left_mib: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={size_mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "keyviz-test"]).arg(&path);
        permitted("mounting a tmpfs", &mut mount)?;
        let disk = Self { path, _folder: folder };
        let taken_mib = size_mib - left_mib;
        std::fs::write(disk.filler(), vec![0xee; (taken_mib << 20) as usize]).unwrap();
        Some(disk)
    }

    fn filler(&self) -> PathBuf {
        // Beside the data folder, on the same disk.
        self.path.join("filler")
    }

    /// Takes every byte that is left.
    pub fn fill(&self) {
        let mut file = File::options().create(true).append(true).open(self.filler()).unwrap();
        for chunk in [1 << 20, 4_096, 1] {
            let bytes = vec![0xee; chunk];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    /// Gives all of it back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// An ext4 in a file of its own. What was written to it and not synced is lost when its power is cut.
#[derive(Debug)]
pub struct PowerDisk {
    /// Where it is mounted.
    pub path: PathBuf,
    image: PathBuf,
    /// Of the mount.
    options: &'static str,
    _folder: TempDir,
}

/// `_IOR('X', 125, __u32)` of `fs/ext4/ext4.h`.
const EXT4_IOC_SHUTDOWN: nix::libc::c_ulong = 0x8004_587d;
/// Without writing out its log: what a power cut leaves.
const NO_LOG_FLUSH: u32 = 2;

impl PowerDisk {
    /// Makes one of `size_mib` (sparse) and mounts it.
    pub fn mount(size_mib: u64) -> Option<Self> {
        Self::mount_with(size_mib, "loop")
    }

    /// One that goes read-only when it meets an error of its own, as most systems mount theirs.
    pub fn mount_strict(size_mib: u64) -> Option<Self> {
        Self::mount_with(size_mib, "loop,errors=remount-ro")
    }

    fn mount_with(size_mib: u64, options: &'static str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (path, image) = (folder.path().join("disk"), folder.path().join("image"));
        std::fs::create_dir(&path).unwrap();
        File::create(&image).unwrap().set_len(size_mib << 20).unwrap();
        permitted("mkfs.ext4", Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
        let disk = Self { path, image, options, _folder: folder };
        disk.attach()?;
        Some(disk)
    }

    fn attach(&self) -> Option<()> {
        let mut mount = Command::new("mount");
        mount.args(["-o", self.options]).arg(&self.image).arg(&self.path);
        permitted("mounting an ext4 on a loop device", &mut mount).map(drop)
    }

    /// Cuts the power: from now on every call on it fails, and nothing more reaches the image. Returns
    /// false (and says so) where the machine cannot.
    pub fn cut(&self) -> bool {
        let folder = File::open(&self.path).unwrap();
        // SAFETY: the descriptor is open, and the request reads one u32 through the pointer.
        #[allow(unsafe_code)]
        let result =
            unsafe { nix::libc::ioctl(folder.as_raw_fd(), EXT4_IOC_SHUTDOWN, &NO_LOG_FLUSH) };
        if result != 0 {
            skipped(&format!("EXT4_IOC_SHUTDOWN: {}", std::io::Error::last_os_error()));
        }
        result == 0
    }

    /// The filesystem meets an error of its own: from now on it takes no writes ([`PowerDisk::mount_strict`]).
    /// Returns false (and says so) where the machine cannot.
    pub fn go_read_only(&self) -> bool {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let path = self.path.to_str().unwrap();
        let device = mounts.lines().find_map(|line| {
            let mut words = line.split(' ');
            let device = words.next()?.strip_prefix("/dev/")?.to_owned();
            (words.next()? == path).then_some(device)
        });
        let Some(device) = device else {
            skipped(&format!("{path} is not among the mounts"));
            return false;
        };
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        let written = std::fs::write(&trigger, "keyviz");
        if let Err(error) = &written {
            skipped(&format!("{trigger}: {error}"));
        }
        written.is_ok()
    }

    /// The power is back: what had reached the image is there, and nothing else. Nobody may have a file
    /// of it open.
    pub fn power_up(&self) {
        let limit = crate::PATIENCE;
        crate::wait_for("the dead disk is unmounted", limit, || {
            let output = Command::new("umount").arg(&self.path).output().unwrap();
            output.status.success().then_some(())
        });
        self.attach().expect("it was mounted before");
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}
