#!/bin/sh
# agent start|kill: the guest agent. It keeps what it froze in /run/qga.state, so that one started anew knows.
case $1 in
start) qemu-ga -d -m virtio-serial -p /dev/virtio-ports/org.qemu.guest_agent.0 -F/bin/fsfreeze-hook -t /run -l /run/qga.log -f /run/qga.pid ;;
kill) kill -9 "$(cat /run/qga.pid)" && rm -f /run/qga.pid ;;
esac
