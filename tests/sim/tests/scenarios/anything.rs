//! Any two configurations over any link: short transfers both ways always arrive, whole and in reasonable time.

use kcp_transport::{Cipher, Config, CongestionControl, Fec, Mtu, Redundancy, Window};
use sim::{Seed, Sim};

use crate::{link, ms, secs};

/// Seeds of one run unless the environment asks for more.
const SEEDS: u64 = 1_000;

/// How many seeds a longer run takes.
const VARIABLE: &str = "KCP_SIM_SEEDS";

/// Numbers from one seed.
struct Choice(interop::stream::Stream);

impl Choice {
    fn below(&mut self, count: u64) -> u64 {
        self.0.next_word() % count
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    fn of<T: Clone>(&mut self, options: &[T]) -> T {
        let index = self.below(options.len() as u64) as usize;
        options[index].clone()
    }

    /// A number of up to `bits` bits, each length as likely as any other.
    fn magnitude(&mut self, bits: u64) -> u64 {
        let bits = 1 + self.below(bits);
        (1 << (bits - 1)) + self.below(1 << (bits - 1))
    }

    fn window(&mut self) -> Window {
        Window::new(self.magnitude(11) as usize).expect("in range")
    }

    fn config(&mut self, cipher: &Cipher) -> Config {
        let fec = self.of(&[
            None,
            None,
            Some((10, 3)),
            Some((10, 3)),
            Some((3, 1)),
            Some((2, 2)),
            Some((20, 10)),
            Some((1, 1)),
        ]);
        let mtu = self.of(&[200, 576, 1_200, 1_350, 1_400, 1_500]);
        let interval = self.of(&[10, 20, 40, 100]);
        Config::fast3()
            .cipher(cipher.clone())
            .fec(fec.map(|(data, parity)| Fec::new(data, parity).expect("in range")))
            .mtu(Mtu::new(mtu).expect("in range"))
            .send_window(self.window())
            .receive_window(self.window())
            .nodelay(self.coin())
            .interval(ms(interval))
            .resend(self.below(4) as u32)
            .congestion(self.of(&[
                CongestionControl::Fixed,
                CongestionControl::Fixed,
                CongestionControl::Reno,
            ]))
            .redundancy(self.of(&[Redundancy::Off, Redundancy::Adaptive, Redundancy::Tail(2)]))
            .stream_mode(self.coin())
            .message_mode(self.below(4) == 0)
            .write_delay(self.below(4) == 0)
            .ack_no_delay(self.coin())
            .duplicates(self.below(2) as u8)
            .protect_control(self.below(4) == 0)
    }

    fn link(&mut self) -> String {
        let loss = self.of(&[0, 1, 5, 10, 20, 30]);
        let burst = if loss > 0 && self.coin() {
            format!("burst={}ms", 1 + self.below(100))
        } else {
            String::new()
        };
        format!(
            "loss={loss}% {burst} delay={}ms jitter={}ms reorder={}% reorder-by={}ms duplicate={}% corrupt={}%",
            self.below(100),
            self.below(10),
            self.below(20),
            1 + self.below(20),
            self.below(5),
            self.below(5),
        )
    }
}

/// One conversation of two ends that know nothing of each other's settings but the cipher.
fn converse(seed: Seed) {
    let mut choice = Choice(seed.stream(0x00a1_17b1_e5ee_d000));
    let mut text = choice.link();
    let cipher = choice.of(&[
        None,
        Some(Cipher::aes_128(&[1; 16])),
        Some(Cipher::aes_128_gcm(&[2; 16])),
        Some(Cipher::salsa20(&[3; 32])),
    ]);
    // Without a cipher nothing would reveal the damage.
    if cipher.is_none() {
        text.push_str(" corrupt=0%");
    }
    let cipher = cipher.unwrap_or_else(Cipher::null);
    let (first, second) = (choice.config(&cipher), choice.config(&cipher));
    println!("seed {}: {text}\n{first:?}\n{second:?}", seed.get());
    let mut sim = Sim::new(seed, link(&text));
    let (first, second) = sim.pair(first, second);
    let sizes = (choice.magnitude(17), choice.magnitude(17));
    sim.transfer(first, second, sizes.0);
    sim.transfer(second, first, sizes.1);
    // A window of one small segment moves some hundred bytes a second.
    let took = sim.run_until_done(secs(3_600));
    let received = (sim.received(second), sim.received(first));
    let ended = [first, second].map(|end| sim.ended(end).cloned());
    assert!(
        took.is_some() && received == sizes,
        "only {received:?} of {sizes:?}: {ended:?} {:?} {:?}",
        sim.stats(first),
        sim.stats(second)
    );
}

#[test]
fn whatever_the_settings_and_the_link_everything_arrives() {
    let seeds = std::env::var(VARIABLE).map_or(SEEDS, |text| {
        text.parse().expect("the number of seeds is a number")
    });
    for seed in Seed::range(seeds) {
        converse(seed);
    }
}
