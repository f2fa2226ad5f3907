// SPDX-License-Identifier: GPL-2.0-only
/*
 * The firmware's mailbox: one ring of messages each way. A message to the
 * firmware is a call, answered by an ACK with its sequence number.
 *
 * A call may be made inside reclaim, from an MMU notifier. So it allocates
 * nothing, and what comes from the firmware is dealt with in the interrupt
 * handler: an answer never waits behind a message whose receiver has to sleep.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/sched/mm.h>

#include "gmemu_drv.h"
#include "gmemu_hw.h"

/**
 * struct gmemu_call - a message that waits for its answer
 * @link: In gmemu_mbox.calls; empty once it has its answer.
 * @seq: Sequence number of the message.
 * @done: Completed when there is one, or none will come.
 * @answer: The ACK.
 */
struct gmemu_call {
	struct list_head link;
	u32 seq;
	struct completion done;
	struct gmemu_msg answer;
};

static void gmemu_mbox_forget(struct gmemu_mbox *mbox, struct gmemu_call *call)
{
	spin_lock_irq(&mbox->calls_lock);
	list_del_init(&call->link);
	spin_unlock_irq(&mbox->calls_lock);
}

static int gmemu_mbox_send(struct gmemu_device *gdev, const struct gmemu_msg *msg)
{
	struct gmemu_mbox *mbox = &gdev->mbox;
	struct gmemu_msg *ring = mbox->h2f.cpu;
	u32 next = (mbox->h2f_put + 1) & ((1u << GMEMU_H2F_LOG2) - 1);
	ktime_t end = ktime_add_ms(ktime_get(), gmemu_timeout_ms);

	while (gmemu_read(gdev, GMEMU_REG_H2F_GET) == next) {
		if (gmemu_is_down(gdev))
			return -ENODEV;
		if (ktime_after(ktime_get(), end))
			return -ETIMEDOUT;
		usleep_range(100, 200);
	}
	ring[mbox->h2f_put] = *msg;
	mbox->h2f_put = next;
	gmemu_write(gdev, GMEMU_REG_H2F_PUT, next);
	return 0;
}

/**
 * gmemu_mbox_call_timeout - send a message and wait some time for the answer
 * @gdev: The device.
 * @msg: The message; gets its sequence number.
 * @answer: The ACK, or NULL if nothing but the status is of interest.
 * @ms: How long to wait.
 *
 * Context: May sleep. Inside reclaim, too.
 * Return: 0 or a negative errno: the firmware's refusal, -ENODEV when the device is
 * down, -ETIMEDOUT when there was no answer, which may still come.
 */
int gmemu_mbox_call_timeout(struct gmemu_device *gdev, struct gmemu_msg *msg,
			    struct gmemu_msg *answer, unsigned int ms)
{
	struct gmemu_mbox *mbox = &gdev->mbox;
	struct gmemu_call call = {};
	int ret;

	if (gmemu_is_down(gdev))
		return -ENODEV;
	init_completion(&call.done);

	mutex_lock(&mbox->lock);
	msg->seq = ++mbox->seq;
	call.seq = msg->seq;
	spin_lock_irq(&mbox->calls_lock);
	list_add_tail(&call.link, &mbox->calls);
	spin_unlock_irq(&mbox->calls_lock);
	ret = gmemu_mbox_send(gdev, msg);
	mutex_unlock(&mbox->lock);
	if (ret) {
		gmemu_mbox_forget(mbox, &call);
		return ret;
	}

	/* If the device went down before the call was known, nobody ends it. */
	if (gmemu_is_down(gdev))
		complete(&call.done);
	ret = wait_for_completion_timeout(&call.done, msecs_to_jiffies(ms));
	/* After this, nobody else knows the call. */
	gmemu_mbox_forget(mbox, &call);
	if (!ret && !completion_done(&call.done))
		return -ETIMEDOUT;
	if (call.answer.type != GMEMU_MSG_ACK && call.answer.type != GMEMU_MSG_PEER_ACK)
		return -ENODEV;
	if (answer)
		*answer = call.answer;

	/* The same place in both. */
	switch (call.answer.u.ack.status) {
	case GMEMU_FW_OK:
		return 0;
	case GMEMU_FW_EINVAL:
		return -EINVAL;
	case GMEMU_FW_ENOENT:
		return -ENOENT;
	case GMEMU_FW_EBUSY:
		return -EBUSY;
	case GMEMU_FW_EVERSION:
		return -EPROTO;
	case GMEMU_FW_EEXIST:
		return -EEXIST;
	case GMEMU_FW_ENOVMA:
		return -EFAULT;
	case GMEMU_FW_EPROT:
		return -EACCES;
	case GMEMU_FW_ENOMEM:
	case GMEMU_FW_ENOTABLE:
	case GMEMU_FW_EMANY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/**
 * gmemu_mbox_call - send a message and wait for the answer
 * @gdev: The device.
 * @msg: The message; gets its sequence number.
 * @answer: The ACK, or NULL if nothing but the status is of interest.
 *
 * Context: May sleep. Inside reclaim, too.
 * Return: 0 or a negative errno: the firmware's refusal, or -ENODEV when it does
 * not answer, which loses the device.
 */
int gmemu_mbox_call(struct gmemu_device *gdev, struct gmemu_msg *msg, struct gmemu_msg *answer)
{
	int ret = gmemu_mbox_call_timeout(gdev, msg, answer, gmemu_timeout_ms);

	if (ret != -ETIMEDOUT)
		return ret;
	dev_err(gdev->drm.dev, "firmware did not answer message %u\n", msg->type);
	gmemu_lose(gdev, "the firmware does not answer");
	return -ENODEV;
}

/**
 * gmemu_mbox_fail_calls - end all calls, since no answer will come
 * @gdev: The device.
 */
void gmemu_mbox_fail_calls(struct gmemu_device *gdev)
{
	struct gmemu_mbox *mbox = &gdev->mbox;
	struct gmemu_call *call;

	spin_lock_irq(&mbox->calls_lock);
	list_for_each_entry(call, &mbox->calls, link)
		complete(&call->done);
	spin_unlock_irq(&mbox->calls_lock);
}

static void gmemu_mbox_ack(struct gmemu_device *gdev, const struct gmemu_msg *msg)
{
	struct gmemu_mbox *mbox = &gdev->mbox;
	struct gmemu_call *call;
	unsigned long flags;
	bool found = false;

	/* The lock keeps the call, which is on its caller's stack. */
	spin_lock_irqsave(&mbox->calls_lock, flags);
	list_for_each_entry(call, &mbox->calls, link) {
		if (call->seq != msg->seq)
			continue;
		list_del_init(&call->link);
		call->answer = *msg;
		complete(&call->done);
		found = true;
		break;
	}
	spin_unlock_irqrestore(&mbox->calls_lock, flags);
	if (!found)
		dev_warn_ratelimited(gdev->drm.dev, "answer to no message, number %u\n", msg->seq);
}

static void gmemu_mbox_handle(struct gmemu_device *gdev, const struct gmemu_msg *msg)
{
	switch (msg->type) {
	case GMEMU_MSG_ACK:
	case GMEMU_MSG_PEER_ACK:
		gmemu_mbox_ack(gdev, msg);
		break;
	case GMEMU_MSG_COMPLETION:
		gmemu_queue_progress(gdev, msg->u.queue.queue);
		break;
	case GMEMU_MSG_QUEUE_ERROR:
		gmemu_queue_failed(gdev, msg);
		break;
	case GMEMU_MSG_LOG:
		dev_info(gdev->drm.dev, "firmware: %.*s\n", (int)sizeof(msg->u.text), msg->u.text);
		break;
	default:
		dev_warn_ratelimited(gdev->drm.dev, "message of unknown type %u\n", msg->type);
	}
}

/**
 * gmemu_mbox_irq - interrupt handler of the mailbox
 * @irq: Interrupt number.
 * @data: The device.
 *
 * Return: IRQ_HANDLED.
 */
irqreturn_t gmemu_mbox_irq(int irq, void *data)
{
	struct gmemu_device *gdev = data;
	struct gmemu_mbox *mbox = &gdev->mbox;
	const struct gmemu_msg *ring = mbox->f2h.cpu;
	u32 put;

	while ((put = gmemu_read(gdev, GMEMU_REG_F2H_PUT)) != mbox->f2h_get) {
		/* What a device that has left the bus seems to say. */
		if (!put && !gmemu_is_present(gdev))
			break;
		if (put >= 1u << GMEMU_F2H_LOG2) {
			gmemu_lose(gdev, "the mailbox is out of order");
			break;
		}
		/* The messages were written before PUT. */
		dma_rmb();
		while (mbox->f2h_get != put) {
			struct gmemu_msg msg = ring[mbox->f2h_get];

			mbox->f2h_get = (mbox->f2h_get + 1) & ((1u << GMEMU_F2H_LOG2) - 1);
			mbox->messages++;
			gmemu_mbox_handle(gdev, &msg);
		}
		gmemu_write(gdev, GMEMU_REG_F2H_GET, mbox->f2h_get);
	}
	return IRQ_HANDLED;
}

/**
 * gmemu_mbox_init - make the mailbox's rings
 * @gdev: The device.
 *
 * Return: 0 or a negative errno.
 */
int gmemu_mbox_init(struct gmemu_device *gdev)
{
	struct gmemu_mbox *mbox = &gdev->mbox;
	int ret;

	mutex_init(&mbox->lock);
	spin_lock_init(&mbox->calls_lock);
	INIT_LIST_HEAD(&mbox->calls);
	/* Tell lockdep early what reclaim does late and rarely. */
	fs_reclaim_acquire(GFP_KERNEL);
	might_lock(&mbox->lock);
	fs_reclaim_release(GFP_KERNEL);
	ret = gmemu_dma_alloc(gdev, &mbox->h2f, sizeof(struct gmemu_msg) << GMEMU_H2F_LOG2);
	if (ret)
		return ret;
	ret = gmemu_dma_alloc(gdev, &mbox->f2h, sizeof(struct gmemu_msg) << GMEMU_F2H_LOG2);
	if (ret) {
		gmemu_dma_free(gdev, &mbox->h2f);
		return ret;
	}
	return 0;
}

/**
 * gmemu_mbox_start - give a device fresh from reset the mailbox's rings
 * @gdev: The device; its firmware is not running yet, interrupts are off.
 */
void gmemu_mbox_start(struct gmemu_device *gdev)
{
	struct gmemu_mbox *mbox = &gdev->mbox;

	mutex_lock(&mbox->lock);
	mbox->h2f_put = 0;
	mbox->f2h_get = 0;
	gmemu_write64(gdev, GMEMU_REG_H2F_BASE, mbox->h2f.bus);
	gmemu_write(gdev, GMEMU_REG_H2F_SIZE_LOG2, GMEMU_H2F_LOG2);
	gmemu_write64(gdev, GMEMU_REG_F2H_BASE, mbox->f2h.bus);
	gmemu_write(gdev, GMEMU_REG_F2H_SIZE_LOG2, GMEMU_F2H_LOG2);
	mutex_unlock(&mbox->lock);
}

/**
 * gmemu_mbox_fini - undo gmemu_mbox_init()
 * @gdev: The device, which has been reset.
 */
void gmemu_mbox_fini(struct gmemu_device *gdev)
{
	gmemu_dma_free(gdev, &gdev->mbox.f2h);
	gmemu_dma_free(gdev, &gdev->mbox.h2f);
	mutex_destroy(&gdev->mbox.lock);
}
