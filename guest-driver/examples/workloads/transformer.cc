// SPDX-License-Identifier: MIT
// Inference of a small transformer. Its weights are a file, mapped into memory: the device reads
// the page cache's pages, and nothing is copied before it is needed.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "workload.h"

namespace {

constexpr uint32_t width = 256, inner = 1024, layers = 4, heads = 4, vocabulary = 1024, positions = 8;
constexpr size_t layer_weights = 4 * width * width + 2 * size_t{width} * inner;
constexpr size_t all_weights = layers * layer_weights + size_t{vocabulary} * width;

// A file of weights that is gone when this is.
class WeightFile {
public:
    WeightFile()
    {
        std::string path = std::filesystem::temp_directory_path() / "gmemu-weights-XXXXXX";
        const int fd = mkstemp(path.data());

        if (fd < 0)
            throw std::system_error(errno, std::generic_category(), path);
        unlink(path.c_str());
        std::vector<float> values(all_weights);
        Numbers numbers(31);
        for (float &value : values)
            value = numbers.real() * 0.1f;
        const auto bytes = std::as_bytes(std::span(values));
        for (size_t done = 0; done < bytes.size();) {
            const ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);
            if (n <= 0) {
                close(fd);
                throw std::system_error(errno, std::generic_category(), "writing the weights to " + path);
            }
            done += static_cast<size_t>(n);
        }
        void *at = mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (at == MAP_FAILED)
            throw std::system_error(errno, std::generic_category(), "mapping the weights");
        weights_ = static_cast<const float *>(at);
    }
    WeightFile(const WeightFile &) = delete;
    WeightFile &operator=(const WeightFile &) = delete;
    ~WeightFile() { munmap(const_cast<float *>(weights_), all_weights * sizeof(float)); }

    struct Layer {
        const float *query, *key, *value, *out, *up, *down;
    };
    Layer layer(uint32_t n) const
    {
        constexpr size_t square = size_t{width} * width;
        const float *at = weights_ + n * layer_weights;
        return {at, at + square, at + 2 * square, at + 3 * square, at + 4 * square, at + 4 * square + size_t{width} * inner};
    }
    // [vocabulary][width]: what tokens are turned into, and what results are compared with.
    const float *embedding() const { return weights_ + layers * layer_weights; }

private:
    const float *weights_;
};

struct Memory {
    std::vector<float> keys = std::vector<float>(size_t{layers} * positions * width), values = keys;
};

class OnDevice {
public:
    explicit OnDevice(Machine &machine) : machine_(machine) {}
    void matvec(const float *weights, uint32_t rows, const std::vector<float> &in, const float *add, float *out, bool relu = false)
    {
        machine_.start("matvec", rows, 64, matvec_args{weights, in.data(), add, out, static_cast<uint32_t>(in.size()), relu});
    }
    void normalise(const std::vector<float> &in, std::vector<float> &out)
    {
        machine_.start("normalise", 1, 1, normalise_args{in.data(), out.data(), width});
    }
    void attention(const attention_args &args) { machine_.start("attention", heads, 1, args); }
    void wait() { machine_.wait(); }

private:
    Machine &machine_;
};

class OnCpu {
public:
    void matvec(const float *weights, uint32_t rows, const std::vector<float> &in, const float *add, float *out, bool relu = false)
    {
        std::vector<float> result(rows);
        for (uint32_t row = 0; row < rows; row++) {
            float sum = add ? add[row] : 0;
            for (size_t c = 0; c < in.size(); c++)
                sum += weights[row * in.size() + c] * in[c];
            result[row] = relu ? std::max(sum, 0.0f) : sum;
        }
        std::copy(result.begin(), result.end(), out);
    }
    void normalise(const std::vector<float> &in, std::vector<float> &out)
    {
        float square = 0;
        for (float value : in)
            square += value * value;
        for (uint32_t i = 0; i < width; i++)
            out[i] = in[i] / std::sqrt(square / width + 1e-6f);
    }
    void attention(const attention_args &a)
    {
        constexpr uint32_t size = width / heads;
        for (uint32_t head = 0; head < heads; head++) {
            std::vector<float> scores(a.position + 1);
            float best = -1e30f, total = 0;
            for (uint32_t p = 0; p <= a.position; p++) {
                for (uint32_t i = head * size; i < (head + 1) * size; i++)
                    scores[p] += a.query[i] * a.keys[p * width + i];
                scores[p] /= std::sqrt(static_cast<float>(size));
                best = std::max(best, scores[p]);
            }
            for (float &score : scores)
                total += score = std::exp(score - best);
            for (uint32_t i = head * size; i < (head + 1) * size; i++) {
                a.out[i] = 0;
                for (uint32_t p = 0; p <= a.position; p++)
                    a.out[i] += scores[p] / total * a.values[p * width + i];
            }
        }
    }
    void wait() {}
};

// The scores of all tokens to come after @token, which is the one at @position.
template <class Compute>
std::vector<float> infer(Compute &compute, const WeightFile &file, Memory &memory, uint32_t token, uint32_t position)
{
    const float *embedding = file.embedding() + size_t{token} * width;
    std::vector<float> x(embedding, embedding + width), in(width), query(width), mixed(width), wide(inner);
    std::vector<float> scores(heads * positions), logits(vocabulary);

    for (uint32_t n = 0; n < layers; n++) {
        const WeightFile::Layer layer = file.layer(n);
        float *keys = &memory.keys[size_t{n} * positions * width], *values = &memory.values[size_t{n} * positions * width];

        compute.normalise(x, in);
        compute.matvec(layer.query, width, in, nullptr, query.data());
        compute.matvec(layer.key, width, in, nullptr, keys + position * width);
        compute.matvec(layer.value, width, in, nullptr, values + position * width);
        compute.attention({query.data(), keys, values, mixed.data(), scores.data(), width, heads, position, positions});
        compute.matvec(layer.out, width, mixed, x.data(), x.data());
        compute.normalise(x, in);
        compute.matvec(layer.up, inner, in, nullptr, wide.data(), true);
        compute.matvec(layer.down, width, wide, x.data(), x.data());
    }
    compute.normalise(x, in);
    compute.matvec(file.embedding(), vocabulary, in, nullptr, logits.data());
    compute.wait();
    return logits;
}

} // namespace

std::string run_transformer(Machine &machine)
{
    const WeightFile file;
    Memory device_memory, cpu_memory;
    OnDevice device(machine);
    OnCpu cpu;
    uint32_t token = 1;
    std::string tokens;

    for (uint32_t position = 0; position < positions; position++) {
        const auto got = infer(device, file, device_memory, token, position);
        const auto expected = infer(cpu, file, cpu_memory, token, position);

        expect_near("score of token", got, expected, 2e-3f);
        token = static_cast<uint32_t>(std::max_element(expected.begin(), expected.end()) - expected.begin());
        tokens += " " + std::to_string(token);
    }
    return std::to_string(all_weights * sizeof(float) >> 20) + " MiB of weights, tokens" + tokens;
}
