// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firmware: load, boot, agree on a version.
 */
#include <linux/delay.h>
#include <linux/firmware.h>
#include <linux/ktime.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

#define GMEMU_DRIVER_CONTRACT (GMEMU_VERSION_MAJOR << 16 | GMEMU_VERSION_MINOR)

static u32 gmemu_fw_wait(struct gmemu_device *gdev)
{
	ktime_t end = ktime_add_ms(ktime_get(), gmemu_timeout_ms);
	u32 status;

	for (;;) {
		status = gmemu_read(gdev, GMEMU_REG_FW_STATUS);
		if (status != GMEMU_FW_OFF && status != GMEMU_FW_LOADING)
			return status;
		if (gmemu_is_down(gdev) || ktime_after(ktime_get(), end))
			return status;
		usleep_range(200, 1000);
	}
}

static int gmemu_fw_boot(struct gmemu_device *gdev, const struct firmware *fw)
{
	const struct gmemu_fw_header *header = (const void *)fw->data;
	struct device *dev = gdev->drm.dev;
	struct gmemu_dma image = {};
	u32 status;
	int ret;

	if (fw->size < sizeof(*header) || header->magic != GMEMU_FW_MAGIC) {
		dev_err(dev, "%s is no gmemu firmware\n", GMEMU_FW_NAME);
		return -EINVAL;
	}
	if (header->contract >> 16 != GMEMU_VERSION_MAJOR) {
		dev_err(dev, "%s is for hardware contract %u.%u, this driver and device speak %u.%u\n",
			GMEMU_FW_NAME, header->contract >> 16, header->contract & 0xffff,
			GMEMU_VERSION_MAJOR, GMEMU_VERSION_MINOR);
		return -EPROTO;
	}

	ret = gmemu_dma_alloc(gdev, &image, fw->size);
	if (ret)
		return ret;
	memcpy(image.cpu, fw->data, fw->size);
	gmemu_write64(gdev, GMEMU_REG_FW_BASE, image.bus);
	gmemu_write(gdev, GMEMU_REG_FW_SIZE, fw->size);
	gmemu_write(gdev, GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_BOOT);
	status = gmemu_fw_wait(gdev);
	gmemu_dma_free(gdev, &image);

	switch (status) {
	case GMEMU_FW_RUNNING:
		return 0;
	case GMEMU_FW_BAD_IMAGE:
		dev_err(dev, "the device refuses %s: damaged (checksum) or for another contract\n",
			GMEMU_FW_NAME);
		return -EINVAL;
	case GMEMU_FW_CRASHED:
		dev_err(dev, "the firmware crashed while it started\n");
		return -EIO;
	default:
		dev_err(dev, "the firmware did not start, status %u\n", status);
		return -ETIMEDOUT;
	}
}

static int gmemu_fw_hello(struct gmemu_device *gdev)
{
	struct gmemu_msg msg = {
		.type = GMEMU_MSG_HELLO,
		.u.hello.contract = GMEMU_DRIVER_CONTRACT,
	};
	struct gmemu_msg answer;
	int ret;

	ret = gmemu_mbox_call(gdev, &msg, &answer);
	if (ret == -EPROTO)
		dev_err(gdev->drm.dev, "the firmware does not speak hardware contract %u.%u\n",
			GMEMU_VERSION_MAJOR, GMEMU_VERSION_MINOR);
	if (!ret)
		gdev->fw_version = answer.u.ack.fw_version;
	return ret;
}

/**
 * gmemu_fw_start - load the firmware, boot it and shake hands
 * @gdev: The device; its mailbox and interrupts work.
 *
 * Return: 0 or a negative errno, which has been explained in the log.
 */
int gmemu_fw_start(struct gmemu_device *gdev)
{
	struct device *dev = gdev->drm.dev;
	const struct firmware *fw;
	int ret;

	ret = request_firmware(&fw, GMEMU_FW_NAME, dev);
	if (ret) {
		dev_err(dev, "no firmware: cannot load %s (%d)\n", GMEMU_FW_NAME, ret);
	} else {
		ret = gmemu_fw_boot(gdev, fw);
		release_firmware(fw);
		if (!ret)
			ret = gmemu_fw_hello(gdev);
	}
	if (ret) {
		dev_err(dev, "put a firmware for contract %u.x at /lib/firmware/%s (or below firmware_class.path=) and reload the driver\n",
			GMEMU_VERSION_MAJOR, GMEMU_FW_NAME);
		return ret;
	}
	dev_info(dev, "firmware %u.%u, contract %u.%u, %u cores, %llu MiB of DRAM\n",
		 gdev->fw_version >> 16, gdev->fw_version & 0xffff, gdev->contract >> 16,
		 gdev->contract & 0xffff, gdev->cores, gdev->dram_size >> 20);
	return 0;
}

/**
 * gmemu_fw_stop - stop the management hart
 * @gdev: The device.
 */
void gmemu_fw_stop(struct gmemu_device *gdev)
{
	gdev->fw_version = 0;
	gmemu_write(gdev, GMEMU_REG_FW_CTRL, GMEMU_FW_CTRL_HALT);
}

MODULE_FIRMWARE(GMEMU_FW_NAME);
