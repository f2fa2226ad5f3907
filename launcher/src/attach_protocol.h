/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `gmemu attach`: programs in a guest that runs already. Frames go from the client to the
 * launcher, over a socket of the host, and from there to the guest's init, over the port
 * kPortAttach, and back. Between launcher and guest a frame has the number of its
 * session; between launcher and client it is 0.
 *
 * A client may also ask what the devices are doing. That is answered by the launcher, with frames of
 * the types ask and answer, which never get to the guest.
 *
 * Who sends input or output may have kWindow bytes of it on the way that were not acknowledged,
 * so that a program or a client that does not read holds up nobody else.
 */
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gmemu::attach {

enum class Type : uint8_t {
    /* to the guest */
    open = 1,   /* a configuration: arguments, environment, directory, terminal */
    input,      /* bytes */
    end,        /* of input */
    size,       /* "ROWS COLUMNS" of the terminal */
    signal,     /* "NUMBER" */
    hangup,     /* the client has gone */
    output_ack, /* uint32_t: so many bytes of output and error were passed on */
    /* to the client */
    output,
    error,
    exit,      /* "CODE": the last frame of a session */
    input_ack, /* uint32_t */
    /* between client and launcher */
    ask,    /* "DEVICE PROPERTY" */
    answer, /* JSON of QEMU: an object with "return" or "error" */
};

struct Header {
    uint32_t length; /* of what follows */
    uint16_t session;
    Type type;
    uint8_t reserved;
};
static_assert(sizeof(Header) == 8);

inline constexpr uint32_t kWindow = 256 << 10;
inline constexpr uint32_t kMaxFrame = 4 << 20; /* an environment fits */

inline std::string frame(Type type, uint16_t session, std::string_view payload)
{
    const Header header = {static_cast<uint32_t>(payload.size()), session, type, 0};
    std::string bytes(reinterpret_cast<const char *>(&header), sizeof(header));

    return bytes.append(payload);
}

inline std::string ack_frame(Type type, uint16_t session, uint32_t bytes)
{
    return frame(type, session, {reinterpret_cast<const char *>(&bytes), sizeof(bytes)});
}

inline uint32_t ack_value(std::string_view payload)
{
    uint32_t bytes = 0;

    if (payload.size() == sizeof(bytes))
        memcpy(&bytes, payload.data(), sizeof(bytes));
    return bytes;
}

/* Takes bytes as they come, gives whole frames. */
class Reader {
public:
    /* Calls @consume(Header, payload) for each frame that is complete. False: this is no stream of frames. */
    template <class Consumer> bool feed(std::string_view bytes, Consumer &&consume)
    {
        size_t at = 0;

        pending_ += bytes;
        while (pending_.size() - at >= sizeof(Header)) {
            Header header;

            memcpy(&header, pending_.data() + at, sizeof(header));
            if (header.length > kMaxFrame)
                return false;
            if (pending_.size() - at - sizeof(header) < header.length)
                break;
            consume(header, std::string_view(pending_).substr(at + sizeof(header), header.length));
            at += sizeof(header) + header.length;
        }
        pending_.erase(0, at);
        return true;
    }

private:
    std::string pending_;
};

} // namespace gmemu::attach
