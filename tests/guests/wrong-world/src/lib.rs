//! Is a component of another world: nothing of it is a policy.

wit_bindgen::generate!({
    inline: "
        package acme:photos;

        interface filter {
            apply: func(pixels: list<u8>) -> list<u8>;
        }

        world photos {
            export filter;
        }
    ",
});

struct WrongWorld;

impl exports::acme::photos::filter::Guest for WrongWorld {
    fn apply(mut pixels: Vec<u8>) -> Vec<u8> {
        pixels.reverse();
        pixels
    }
}

export!(WrongWorld);
