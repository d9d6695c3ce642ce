//! Conversations between the machines: the sessions of the production engine, over a network on
//! which whatever can happen to a message happens.
//!
//! A session belongs to a machine: whichever process acts for it knows what is durable there. It is
//! over when its machine loses power, when the disk fails under it, or when it notices that a
//! message was lost or came twice; the next conversation goes on from what both have.

use std::sync::atomic::Ordering;

use tress::sync::{SyncError, attend};
use tress::{Dot, Segment};
use tress_engine::sync::{Effect, Paperwork, Session};
use tress_model::codec;
use tress_model::message::Hello;
use tress_plan::random::Random;

use crate::network::Message;
use crate::world::{Broken, World, settle};

/// One end of a conversation: where, with whom, and which.
pub(crate) type Talk = (u64, u64, u64);

impl World {
    /// A process begins to talk with another machine.
    pub(crate) async fn tell(&mut self, site: usize, nth: usize, random: &mut Random) -> Broken {
        let sites = self.setting.sites;
        if sites < 2 {
            return Ok(());
        }
        let peer = (site as u64 + 1 + random.below(sites - 1)) % sites;
        self.talked += 1;
        let place = (site as u64, peer, self.talked);
        let live = random.below(2) == 0;
        if let Some(session) = self.greet(site, nth, live).await {
            self.begun.insert(place);
            self.talks.insert(place, session);
            self.go_on(place, nth, random).await?;
        }
        self.bury(site).await
    }

    /// A session of what is durable at `site`, as one of its processes knows it.
    async fn greet(&mut self, site: usize, nth: usize, live: bool) -> Option<Session> {
        let process = self.process(site, nth)?;
        let place = process.run.place().ok()?;
        let known = process.run.refresh().await;
        settle(&process.run).await;
        let have = process.run.durable().await;
        settle(&process.run).await;
        known.ok()?;
        let run = process.run.name().to_owned();
        Some(Session::new(Hello { live, documents: true, ..Hello::new(&run, place, have.ok()?) }))
    }

    /// Time passes, and what has arrived is heard.
    pub(crate) async fn pass(&mut self, random: &mut Random) -> Broken {
        let now = self.time.fetch_add(random.below(400), Ordering::Relaxed);
        while let Some((from, to, Message { talk, bytes })) = self.network.arrived(now) {
            let (site, nth, place) = (to as usize, random.next() as usize, (to, from, talk));
            if !self.talks.contains_key(&place) {
                // Somebody greets; or goes on with what was broken off here, and is not heard: no
                // connection has the same end twice.
                let greets = matches!(codec::decode_message(&bytes), Ok((1, _)));
                if !greets || !self.begun.insert(place) {
                    continue;
                }
                let Some(session) = self.greet(site, nth, true).await else { continue };
                self.talks.insert(place, session);
                self.bury(site).await?;
            }
            let Some(session) = self.talks.get_mut(&place) else { continue };
            // What was lost or came twice on the way ends it, and nothing else does.
            if let Err(error) = session.receive(&bytes)
                && !matches!(error, SyncError::Lost { .. })
            {
                return Err(format!("a session of ours made no sense: {error}"));
            }
            self.go_on(place, nth, random).await?;
            self.bury(site).await?;
        }
        Ok(())
    }

    /// Does what a session wants. Where the disk fails, the session is broken off.
    async fn go_on(&mut self, place: Talk, nth: usize, random: &mut Random) -> Broken {
        let (site, peer, talk) = place;
        let now = self.now();
        while let Some(effect) = self.talks.get_mut(&place).and_then(Session::next_effect) {
            let done = match effect {
                Effect::Send(bytes) => {
                    let message = Message { talk, bytes };
                    self.network.send(now, site, peer, &message, random);
                    true
                }
                Effect::Read { than, strands } => {
                    let Some(process) = self.process(site as usize, nth) else { break };
                    let segments = process.run.lacking(than, strands).await;
                    settle(&process.run).await;
                    let session = self.talks.get_mut(&place);
                    session.zip(segments.ok()).is_some_and(|(s, found)| s.supply(found).is_ok())
                }
                Effect::Take(segments) => self.take(place, nth, segments).await?,
                Effect::UpToDate => true,
                Effect::Paperwork(paperwork) => self.attend(place, nth, paperwork).await,
                Effect::End { .. } => false,
            };
            if !done {
                self.talks.remove(&place);
            }
        }
        Ok(())
    }

    /// Does what a session wants done about documents; whether that went well.
    async fn attend(&mut self, place: Talk, nth: usize, paperwork: Paperwork) -> bool {
        let Some(mut session) = self.talks.remove(&place) else { return false };
        let Some(process) = self.process(place.0 as usize, nth) else { return false };
        let done = attend(&process.run, &mut session, paperwork).await;
        settle(&process.run).await;
        self.tally.sealed += done.as_ref().map_or(0, |(new, _)| *new as u64);
        self.talks.insert(place, session);
        done.is_ok()
    }

    /// The documents of a machine may stand elsewhere: those with whom it talks are told.
    pub(crate) async fn tell_of_seals(
        &mut self,
        site: usize,
        nth: usize,
        random: &mut Random,
    ) -> Broken {
        let of_site = |place: &&Talk| place.0 == site as u64;
        let places: Vec<Talk> = self.talks.keys().filter(of_site).copied().collect();
        for place in places {
            if let Some(session) = self.talks.get_mut(&place) {
                session.documents_changed();
            }
            self.go_on(place, nth, random).await?;
        }
        Ok(())
    }

    /// Takes in what a peer sent; whether that went well.
    async fn take(
        &mut self,
        place: Talk,
        nth: usize,
        segments: Vec<Segment>,
    ) -> Result<bool, String> {
        let site = place.0 as usize;
        let Some(process) = self.process(site, nth) else { return Ok(false) };
        let taken = process.run.take_in(segments).await;
        settle(&process.run).await;
        let durable = process.run.durable().await;
        settle(&process.run).await;
        let Ok(taken) = taken else { return Ok(false) };
        if let Some((segment, reason)) = taken.refused.first() {
            let dot = Dot::new(segment.replica, segment.first);
            return Err(format!("{dot} was refused: {reason}"));
        }
        self.tally.exchanged += taken.events.len() as u64;
        for event in taken.events {
            self.known(site, &event)?;
        }
        let (Some(session), Ok(durable)) = (self.talks.get_mut(&place), durable) else {
            return Ok(false);
        };
        session.taken(&durable);
        Ok(true)
    }
}
