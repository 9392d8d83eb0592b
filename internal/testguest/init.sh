#!/bin/sh
# The first process of the guest: devices, disks, writers, the agent; then it does what comes in on the control port.
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console; do
	insmod /modules/$module.ko
done
# Without udev the names of the ports are found in sysfs, where they come in one by one.
mkdir -p /dev/virtio-ports
cd /dev/virtio-ports
until [ -c org.qemu.guest_agent.0 ] && [ -c holdfast.control ]; do
	for port in /sys/class/virtio-ports/*; do
		name=
		[ ! -r "$port/name" ] || read -r name <"$port/name"
		[ -z "$name" ] || ln -sf "../${port##*/}" "$name"
	done
done
cd /

# writer DISK: appends to a file, and overwrites and syncs another again and again. How far it came stands in
# /run/written.DISK, which no freeze can stop; a writer that is frozen counts no further.
writer() {
	count=0
	while [ ! -e /run/writers-off ]; do
		count=$((count + 1))
		echo "$count $(head -c 600 /dev/urandom | base64 -w 0)" >>/mnt/$1/log
		dd if=/dev/urandom of=/mnt/$1/block.$((count % 16)) bs=16k count=1 conv=notrunc,fsync 2>/dev/null
		echo $count >/run/written.$1
	done
}

# Disks that hold ext4 are mounted and written to, the others left alone.
for disk in /sys/block/vd*; do
	disk=${disk##*/}
	mkdir -p /mnt/$disk
	if mount -t ext4 /dev/$disk /mnt/$disk 2>/dev/null; then
		writer $disk &
	fi
done
agent start

# A line of the control port is a command; its output goes back, and behind it a line with a zero byte and its exit status.
exec 3<>/dev/virtio-ports/holdfast.control
printf '\0ready\n' >&3
while :; do
	read -r line <&3 || continue # whoever commands is not there yet
	sh -c "$line" >/run/output 2>&1 </dev/null 3>&-
	status=$?
	cat /run/output >&3
	printf '\0%d\n' $status >&3
done
